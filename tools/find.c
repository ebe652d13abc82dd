/*
 * Ids are tried before record keys: an id has a form that nobody's business numbers have.
 */
#include "tools/find.h"

#include "base/cleanup.h"

#include <stdlib.h>

#define DELETED_SEARCH_MAX 100000 /* records of a type */

/* The types that the store has rows of are few, and their numbers are given without gaps. */
static enum status type_after(struct txn *txn, uint16_t *number, struct type_row *ret_type)
{
    if (*number == UINT16_MAX)
        return STATUS_END;
    enum status s = type_at(txn, ++*number, ret_type);
    return s == STATUS_NOT_FOUND ? STATUS_END : s;
}

static enum status find_by_id(struct txn *txn, const char *text, const char *type,
                              struct revision *ret_current, struct type_row *ret_type)
{
    struct uuid id;
    uint16_t number = 0;
    enum status s;
    while ((s = type_after(txn, &number, ret_type)) == STATUS_OK) {
        if (typeid_parse(bytes_of_str(text), ret_type->id_prefix, &id) != STATUS_OK)
            continue;
        if (type && strcmp(type, ret_type->name))
            return STATUS_NOT_FOUND;
        s = record_current(txn, &id, ret_current);
        return s == STATUS_OK && ret_current->type != ret_type->number ? STATUS_NOT_FOUND : s;
    }
    return s == STATUS_END ? STATUS_NOT_FOUND : s;
}

static enum status find_by_key(struct txn *txn, const char *text, const char *type,
                               struct uuid *ret_record, struct type_row *ret_type,
                               struct buf *names)
{
    struct type_row row;
    struct uuid record;
    uint16_t number = 0;
    size_t found = 0;
    enum status s;
    while ((s = type_after(txn, &number, &row)) == STATUS_OK) {
        if (type && strcmp(type, row.name))
            continue;
        s = record_find_by_key(txn, row.number, bytes_of_str(text), &record);
        if (status_is_fault(s))
            return s;
        if (s != STATUS_OK)
            continue;
        buf_printf(names, "%s%s", found++ ? ", " : "", row.name);
        *ret_record = record;
        *ret_type = row;
    }
    if (s != STATUS_END)
        return s;
    return found == 0 ? STATUS_NOT_FOUND : found == 1 ? STATUS_OK : STATUS_LIMIT;
}

/* The key's index has live records only, so the newest ones of the type are looked at one by one.
 */
static enum status find_deleted_of_type(struct txn *txn, uint16_t type, struct bytes key,
                                        struct revision *ret_current)
{
    struct record_page page = {.type = type, .has_deleted = true};
    enum status s = STATUS_OK;
    for (int i = 0; i < DELETED_SEARCH_MAX && s == STATUS_OK; i++) {
        s = record_page_next(txn, &page, ret_current);
        if (s != STATUS_OK)
            break;
        page.before = ret_current->record;
        bool is_it = ret_current->action == ACTION_DELETED && bytes_equal(ret_current->key, key);
        if (is_it)
            break;
        s = i + 1 == DELETED_SEARCH_MAX ? STATUS_END : STATUS_OK;
    }
    record_page_end(&page);
    return s == STATUS_END ? STATUS_NOT_FOUND : s;
}

static enum status find_deleted(struct txn *txn, const char *text, const char *type,
                                struct revision *ret_current, struct type_row *ret_type)
{
    uint16_t number = 0;
    enum status s;
    while ((s = type_after(txn, &number, ret_type)) == STATUS_OK) {
        if (type && strcmp(type, ret_type->name))
            continue;
        s = find_deleted_of_type(txn, ret_type->number, bytes_of_str(text), ret_current);
        if (s != STATUS_NOT_FOUND)
            return s;
    }
    return s == STATUS_END ? STATUS_NOT_FOUND : s;
}

enum status find_record(struct txn *txn, const char *text, const char *type,
                        struct revision *ret_current, struct type_row *ret_type, struct err *err)
{
    CLEANUP(buf_fini) struct buf names = {0};
    struct uuid record;
    enum status s = find_by_id(txn, text, type, ret_current, ret_type);
    if (s != STATUS_NOT_FOUND)
        return s;
    s = find_by_key(txn, text, type, &record, ret_type, &names);
    if (s == STATUS_LIMIT)
        err_set(err, "\"%.100s\" is the record key of several records: say --type, one of %s", text,
                buf_str(&names));
    if (s == STATUS_NOT_FOUND) {
        s = find_deleted(txn, text, type, ret_current, ret_type);
        if (s != STATUS_NOT_FOUND)
            return s;
        err_set(err,
                "no record \"%.100s\"%s%.63s: `postern records list TYPE` lists them, with "
                "--deleted those that were deleted",
                text, type ? " of type " : "", type ? type : "");
    }
    return s == STATUS_OK ? record_current(txn, &record, ret_current) : s;
}

void find_record_id_text(struct txn *txn, uint16_t type, const struct uuid *record,
                         char out[TYPEID_TEXT_BYTES])
{
    struct type_row row;
    out[0] = 0;
    if (!uuid_is_zero(record))
        typeid_format(type_at(txn, type, &row) == STATUS_OK ? row.id_prefix : "", record, out);
}

enum status find_endpoint(struct txn *txn, const char *text, struct endpoint *ret_endpoint,
                          struct err *err)
{
    struct uuid id;
    enum status s = typeid_parse(bytes_of_str(text), ENDPOINT_ID_PREFIX, &id);
    if (s == STATUS_OK)
        s = endpoint_find(txn, &id, ret_endpoint);
    if (s == STATUS_INVALID)
        s = STATUS_NOT_FOUND;
    if (s == STATUS_NOT_FOUND)
        err_set(err, "no endpoint %.100s: see `postern endpoints list`", text);
    return s;
}

enum status find_any_endpoint(struct txn *txn, const char *text, struct endpoint *ret_endpoint,
                              struct err *err)
{
    struct uuid id;
    uint32_t number = 0;
    enum status s = find_endpoint(txn, text, ret_endpoint, err);
    if (s != STATUS_NOT_FOUND ||
        typeid_parse(bytes_of_str(text), ENDPOINT_ID_PREFIX, &id) != STATUS_OK)
        return s;
    /* Numbers are given without gaps, and rows are kept. */
    while ((s = endpoint_at(txn, ++number, ret_endpoint)) == STATUS_OK) {
        if (uuid_compare(&ret_endpoint->id, &id) == 0)
            return STATUS_OK;
    }
    return s;
}

void find_endpoint_id_text(struct txn *txn, uint32_t number, char out[TYPEID_TEXT_BYTES])
{
    CLEANUP(freep) struct endpoint *endpoint = malloc(sizeof(*endpoint));
    out[0] = 0;
    if (endpoint && endpoint_at(txn, number, endpoint) == STATUS_OK)
        typeid_format(ENDPOINT_ID_PREFIX, &endpoint->id, out);
}

enum status find_event(struct txn *txn, const char *text, struct event *ret_event, struct err *err)
{
    struct uuid id;
    char *end;
    enum status s = STATUS_NOT_FOUND;
    unsigned long long sequence = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end)
        s = event_at(txn, sequence, ret_event);
    else if (typeid_parse(bytes_of_str(text), EVENT_ID_PREFIX, &id) == STATUS_OK)
        s = event_find(txn, &id, ret_event);
    if (s == STATUS_NOT_FOUND)
        err_set(err, "no event %.100s: see `postern events list`", text);
    return s;
}
