/*
 * record_type_private: the set of record types, shared by reading (record_type_load.c) and use
 * (record_type.c). Internal.
 */
#pragma once

#include "base/arena.h"
#include "schemas/record_type.h"

#include <stdatomic.h>

/* x-postern.schema.json allows 64 of `when` and 16 of `each`. */
#define RECORD_TYPE_RULES_MAX 80

struct record_types {
    atomic_uint references;
    struct record_type *types; /* sorted by name */
    size_t count;
    struct arena *arena; /* every text and array that the types point to */
};
