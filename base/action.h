/* action: what a revision did to its record. The numbers are stored. */
#pragma once

enum record_action { ACTION_CREATED = 1, ACTION_UPDATED = 2, ACTION_DELETED = 3 };

/* "created", "updated", "deleted". */
const char *record_action_text(enum record_action action);
