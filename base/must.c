/*
 * must: says where and aborts. The message goes out unbuffered: the heap may be what is broken.
 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void must_failed(const char *condition, const char *file, int line, const char *func)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: %s: broken invariant: %s\n", file, line, func,
                       condition);

    if (len > (int)sizeof text - 1)
        len = (int)sizeof text - 1;
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}
