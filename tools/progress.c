/*
 * At most ten times a second: the terminal must not be what takes long.
 */
#include "tools/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define PAUSE_MS 100

void progress_start(struct progress *progress, const char *doing)
{
    *progress = (struct progress){.doing = doing, .is_shown = isatty(STDERR_FILENO)};
}

void progress_show(struct progress *progress, uint64_t done, uint64_t all)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    if (!progress->is_shown || now_ms < progress->next_ms)
        return;
    progress->next_ms = now_ms + PAUSE_MS;
    double share = all ? (double)done / (double)all : 0;
    fprintf(stderr, "\r\033[K%s … %llu of %llu rows, %d %%", progress->doing,
            (unsigned long long)done, (unsigned long long)all,
            share > 1 ? 100 : (int)(share * 100));
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (progress->is_shown && progress->next_ms)
        fprintf(stderr, "\r\033[K");
}
