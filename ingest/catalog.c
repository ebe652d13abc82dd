/*
 * Registering is one small transaction at start and at each reload; a type that the store already
 * knows costs a look-up. A type with another id prefix than before is refused: ids already given
 * out would no longer be found.
 */
#include "ingest/catalog.h"

#include "base/cleanup.h"
#include "base/random.h"
#include "ingest/openapi.h"
#include "storage/fault.h"

#include <stdatomic.h>

struct catalog {
    atomic_uint refs;
    struct record_types *types;
    struct buf openapi;
    size_t count;
    struct catalog_type entries[]; /* sorted by name, as the set */
};

static enum status register_types(struct catalog *catalog, struct txn *txn, struct err *err)
{
    for (size_t i = 0; i < catalog->count; i++) {
        const struct record_type *type = record_types_at(catalog->types, i);
        struct type_row row;
        enum status s = type_register(txn, type->name, type->id_prefix, &row);
        if (s == STATUS_MISMATCH)
            err_set(err,
                    "%s: /x-postern/idPrefix: the store has records of type \"%s\" with another "
                    "id prefix; give the type its former prefix back",
                    type->path, type->name);
        if (s != STATUS_OK)
            return s == STATUS_MISMATCH ? STATUS_INVALID : s;
        catalog->entries[i] = (struct catalog_type){type, row.number};
    }
    return STATUS_OK;
}

static enum status register_in_store(struct catalog *catalog, struct store *store, int64_t now_ms,
                                     struct err *err)
{
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    for (;;) {
        struct txn *txn = NULL;
        enum status s = txn_write(store, now_ms, seed, &txn);
        if (s != STATUS_OK)
            return s;
        s = register_types(catalog, txn, err);
        if (s != STATUS_OK) {
            txn_abort(txn);
            return s;
        }
        fault_point("types_registering");
        s = txn_commit(txn);
        if (s == STATUS_MAP_FULL)
            s = store_grow(store);
        else
            return s;
        if (s != STATUS_OK)
            return s;
    }
}

enum status catalog_load(const char *schemas_dir, const char *version, struct store *store,
                         int64_t now_ms, struct catalog **ret_catalog, struct err *err)
{
    struct record_types *types = NULL;
    enum status s = record_types_load(schemas_dir, &types, err);
    if (s != STATUS_OK)
        return s;
    size_t count = record_types_count(types);
    struct catalog *catalog = calloc(1, sizeof *catalog + count * sizeof catalog->entries[0]);
    if (!catalog) {
        record_types_unref(types);
        return STATUS_NO_MEMORY;
    }
    catalog->refs = 1;
    catalog->types = types;
    catalog->count = count;
    openapi_put(types, version, &catalog->openapi);
    s = catalog->openapi.status;
    if (s == STATUS_OK)
        s = register_in_store(catalog, store, now_ms, err);
    fault_point("types_registered");
    if (s != STATUS_OK) {
        if (status_is_fault(s))
            err_set(err, "register record types: %s", status_text(s));
        catalog_unref(catalog);
        return s;
    }
    *ret_catalog = catalog;
    return STATUS_OK;
}

struct catalog *catalog_ref(struct catalog *catalog)
{
    atomic_fetch_add(&catalog->refs, 1);
    return catalog;
}

void catalog_unref(struct catalog *catalog)
{
    if (!catalog || atomic_fetch_sub(&catalog->refs, 1) != 1)
        return;
    record_types_unref(catalog->types);
    buf_fini(&catalog->openapi);
    free(catalog);
}

const struct catalog_type *catalog_find(const struct catalog *catalog, struct bytes name)
{
    size_t low = 0, high = catalog->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(name, bytes_of_str(catalog->entries[middle].type->name));
        if (order == 0)
            return &catalog->entries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct bytes catalog_openapi(const struct catalog *catalog)
{
    return buf_bytes(&catalog->openapi);
}

size_t catalog_count(const struct catalog *catalog)
{
    return catalog->count;
}
