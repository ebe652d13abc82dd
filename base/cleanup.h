/*
 * cleanup: scope-owned things are released by an attribute, handed over by one named move.
 *
 *     CLEANUP(buf_fini) struct buf body = {0};
 *     CLEANUP(freep) char *text = strdup(…);
 *     return MOVE(text);
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/* The pointer's value; the variable is NULL afterwards, so its cleanup does nothing. */
#define MOVE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) moved_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        moved_;                                                                                    \
    })

static inline void freep(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
