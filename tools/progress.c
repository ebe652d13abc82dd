/*
 * At most ten times a second: the terminal must not be what takes long.
 */
#include "tools/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define PAUSE_MS 100
#define PATIENCE_MS 1000

void progress_start(struct progress *progress, const char *doing)
{
    *progress = (struct progress){
        .doing = doing,
        .is_shown = isatty(STDERR_FILENO),
        .next_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + PATIENCE_MS,
    };
}

void progress_show(struct progress *progress, uint64_t done, uint64_t all)
{
    int64_t now_ms = progress->is_shown ? clock_monotonic_ms(&SYSTEM_CLOCK) : 0;
    if (!progress->is_shown || now_ms < progress->next_ms)
        return;
    progress->next_ms = now_ms + PAUSE_MS;
    progress->is_drawn = true;
    double share = all ? (double)done / (double)all : 0;
    fprintf(stderr, "\r\033[K%s … %llu", progress->doing, (unsigned long long)done);
    if (all)
        fprintf(stderr, " of %llu rows, %d %%", (unsigned long long)all,
                share > 1 ? 100 : (int)(share * 100));
    else
        fputs(" rows", stderr);
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (progress->is_drawn)
        fputs("\r\033[K", stderr);
    progress->is_drawn = false;
}
