/*
 * progress: one line on standard error, rewritten in place, for what takes long. Nothing where that
 * is no terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *doing; /* "checking" */
    bool is_shown;
    int64_t next_ms; /* monotonic: when the line is rewritten */
};

void progress_start(struct progress *progress, const char *doing);
void progress_show(struct progress *progress, uint64_t done, uint64_t all);
void progress_clear(struct progress *progress);
