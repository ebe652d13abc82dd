/*
 * progress: one line on standard error, rewritten in place, for what takes longer than a second.
 * Nothing where that is no terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *doing; /* "checking" */
    bool is_shown;     /* a terminal is there */
    bool is_drawn;     /* the line stands there */
    int64_t next_ms;   /* monotonic: when the line is rewritten */
};

void progress_start(struct progress *progress, const char *doing);
/* `all` 0: not known. */
void progress_show(struct progress *progress, uint64_t done, uint64_t all);
/* Take the line away, before something else is printed or at the end. */
void progress_clear(struct progress *progress);
