/*
 * failing_memory: allocations of the product's own code, and of libraries that are linked in whole,
 * counted and made to fail. For one file of a program that is linked with `--wrap` for each
 * function below (failing_memory in tests/unit/meson.build); works under the sanitizers.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Those with a number from `fails_from` to `fails_to` fail; 1 is the next after `allocations` was
 * set to 0. `fails_from` 0: none does. */
static atomic_uint allocations, fails_from, fails_to;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

static bool is_out_of_memory(void)
{
    unsigned number = atomic_fetch_add(&allocations, 1) + 1;

    return fails_from != 0 && number >= fails_from && number <= fails_to;
}

void *__wrap_malloc(size_t size)
{
    return is_out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_out_of_memory() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_out_of_memory() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return is_out_of_memory() ? NULL : __real_reallocarray(memory, count, size);
}

static inline void fail_memory(unsigned from, unsigned to)
{
    fails_from = from;
    fails_to = to;
    allocations = 0;
}

/* How many allocations there were; none fails afterwards. */
static inline unsigned stop_failing(void)
{
    fails_from = 0;
    return allocations;
}
