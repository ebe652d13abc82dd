/*
 * hint: notes on standard error about what is allowed and yet likely a slip: scopes and event
 * patterns that match nothing that the schemas know of now.
 */
#pragma once

#include "tools/tool.h"

/* Each --scope of the command. */
void hint_scopes(struct tool *tool, const struct args *args);
/* Each value of that option, which are event patterns. */
void hint_events(struct tool *tool, const struct args *args, const char *option);
