/*
 * A list of chunks, newest first; each next one is at least twice as large. Rewinding frees the
 * chunks made after the mark. What is handed out is zeroed at that moment, not before, so that a
 * large chunk is touched only where it is used.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define ALIGNMENT alignof(max_align_t)

struct chunk {
    struct chunk *older;
    size_t capacity; /* bytes of data */
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

struct arena {
    struct chunk *newest;
};

static size_t aligned(size_t len)
{
    return (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct chunk *chunk_new(size_t capacity, struct chunk *older)
{
    if (capacity > SIZE_MAX / 4)
        return NULL;
    struct chunk *chunk = malloc(sizeof *chunk + capacity);
    if (!chunk)
        return NULL;
    chunk->older = older;
    chunk->capacity = capacity;
    chunk->used = 0;
    return chunk;
}

struct arena *arena_new(size_t first_bytes)
{
    size_t own = aligned(sizeof(struct arena));
    if (first_bytes > SIZE_MAX / 8)
        return NULL;
    struct chunk *chunk = chunk_new(own + aligned(first_bytes), NULL);
    if (!chunk)
        return NULL;
    struct arena *arena = (struct arena *)chunk->data;
    chunk->used = own;
    arena->newest = chunk;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    struct chunk *chunk = arena->newest; /* the arena itself goes with the last one */
    while (chunk) {
        struct chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
}

/* Not zeroed. */
static void *take(struct arena *arena, size_t len)
{
    if (len > SIZE_MAX / 8)
        return NULL;
    size_t need = aligned(len ? len : 1);
    struct chunk *chunk = arena->newest;
    if (chunk->capacity - chunk->used < need) {
        size_t capacity = chunk->capacity * 2 > need ? chunk->capacity * 2 : need;
        chunk = chunk_new(capacity, arena->newest);
        if (!chunk)
            return NULL;
        arena->newest = chunk;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += need;
    return memory;
}

void *arena_take(struct arena *arena, size_t len)
{
    void *memory = take(arena, len);
    if (memory)
        memset(memory, 0, len);
    return memory;
}

struct bytes arena_copy(struct arena *arena, struct bytes view)
{
    uint8_t *copy = take(arena, view.len + 1);
    if (!copy)
        return (struct bytes){0};
    if (view.len > 0)
        memcpy(copy, view.data, view.len);
    copy[view.len] = '\0';
    return bytes_of(copy, view.len);
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->newest, arena->newest->used};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    while (arena->newest != mark.chunk) {
        struct chunk *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->newest->used = mark.used;
}
