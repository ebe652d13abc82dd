/*
 * catalog: the record types as the server serves them: the set that the schema files make, and the
 * number that each type has in the store. Immutable, shared by reference count, replaced whole on a
 * reload: requests in flight finish with the one they began with.
 */
#pragma once

#include "schemas/record_type.h"
#include "storage/store.h"

struct catalog;

struct catalog_type {
    const struct record_type *type;
    uint16_t number; /* in the store */
};

/* Load the directory and register its types in the store, in a transaction of its own.
 * STATUS_INVALID with "FILE: /pointer: reason"; faults. */
MUST_CHECK enum status catalog_load(const char *schemas_dir, const char *version,
                                    struct store *store, int64_t now_ms,
                                    struct catalog **ret_catalog, struct err *err);
struct catalog *catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog *catalog); /* NULL allowed */
/* NULL: no such type. */
const struct catalog_type *catalog_find(const struct catalog *catalog, struct bytes name);
size_t catalog_count(const struct catalog *catalog);
/* The OpenAPI document of these types; lives as long as the catalog. */
struct bytes catalog_openapi(const struct catalog *catalog);
