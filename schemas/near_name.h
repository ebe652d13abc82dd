/*
 * near_name: "did you mean …?": is one name likely a misspelling of another?
 *
 * Case and the separators _ - . and space do not count, so that scheduled_start finds
 * scheduledStart; otherwise one slip in short names, two in longer ones. Pure; any thread.
 */
#pragma once

#include "base/bytes.h"

#define NEAR_NAME_BYTES_MAX 64 /* longer names are never near */

/* 0: the same but for case and separators; else the number of slips (inserted, missing, wrong or
 * swapped characters); UINT32_MAX: not near. */
uint32_t near_name_distance(struct bytes a, struct bytes b);
