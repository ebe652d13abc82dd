/*
 * arena: memory that lives and ends together, for one request or one batch. The first chunk is made
 * with the arena, so that a small request costs one allocation in all.
 *
 * Not for: anything with a life of its own. One thread at a time.
 */
#pragma once

#include "base/bytes.h"

struct arena; /* lies in its own first chunk */

/* Room for first_bytes without further allocation. NULL: no memory. */
struct arena *arena_new(size_t first_bytes);
void arena_free(struct arena *arena); /* NULL allowed */
/* Zeroed, aligned for any type. NULL: no memory. */
void *arena_take(struct arena *arena, size_t len);
/* A copy, terminated by a NUL that is not counted. {NULL,0}: no memory. */
struct bytes arena_copy(struct arena *arena, struct bytes view);

/* Undo everything taken since the mark. */
struct arena_mark {
    void *chunk;
    size_t used;
};
struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);
