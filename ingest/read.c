/*
 * A record is shown as its events show it: canonical JSON with "id" first. A page's cursor is the
 * id of its last record: records are ordered by creation, so new ones never move a page.
 */
#include "ingest/read.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "ingest/precondition.h"
#include "ingest/reply.h"
#include "storage/records.h"

#include <stdio.h>

enum status query_number(struct bytes query, const char *name, uint64_t fallback, uint64_t max,
                         uint64_t *ret_value)
{
    struct bytes text = query_find(query, name);
    *ret_value = fallback;
    if (!text.data)
        return STATUS_OK;
    if (text.len == 0 || text.len > 19)
        return STATUS_INVALID;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return STATUS_INVALID;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret_value = value;
    return value <= max ? STATUS_OK : STATUS_INVALID;
}

void refuse_query(struct call *call, const char *name, const char *what)
{
    char detail[160];
    snprintf(detail, sizeof detail, "the query parameter %s must be %s", name, what);
    call_refuse_plain(call, PROBLEM_INVALID_REQUEST, detail);
}

bool query_is_known(struct call *call, struct bytes query, const char *const *names, size_t count)
{
    struct bytes unknown = query_unknown(query, names, count);
    if (!unknown.data)
        return true;
    CLEANUP(buf_fini) struct buf detail = {0};
    buf_put_str(&detail, "there is no such query parameter here; there are:");
    for (size_t i = 0; i < count; i++)
        buf_printf(&detail, "%s %s", i ? "," : "", names[i]);
    call_refuse_plain(call, PROBLEM_INVALID_REQUEST, buf_str(&detail));
    return false;
}

/* The record that a path names, live; an id, or else a record key. */
static enum status find_target(struct txn *txn, const struct catalog_type *type,
                               struct bytes target, struct revision *ret_revision)
{
    CLEANUP(buf_fini) struct buf decoded = {0};
    struct uuid id;
    if (percent_decode(&decoded, target) != STATUS_OK || decoded.len == 0 ||
        decoded.len > RECORD_KEY_BYTES_MAX)
        return STATUS_NOT_FOUND;
    enum status s = STATUS_NOT_FOUND;
    if (typeid_parse(buf_bytes(&decoded), type->type->id_prefix, &id) == STATUS_OK)
        s = record_current(txn, &id, ret_revision);
    if (s == STATUS_NOT_FOUND) { /* a record key may look like an id */
        s = record_find_by_key(txn, type->number, buf_bytes(&decoded), &id);
        if (s == STATUS_OK)
            s = record_current(txn, &id, ret_revision);
    }
    if (s == STATUS_OK && (ret_revision->type != type->number || !record_is_live(ret_revision)))
        return STATUS_NOT_FOUND;
    return s;
}

static enum status put_record(struct app_loop *loop, const struct catalog_type *type,
                              const struct revision *revision, struct buf *out)
{
    struct json_fault fault;
    enum status s = json_scan(&loop->other_doc, revision->body, &fault);
    if (s != STATUS_OK)
        return s == STATUS_INVALID ? STATUS_CORRUPT : s;
    char id[TYPEID_TEXT_BYTES];
    typeid_format(type->type->id_prefix, &revision->record, id);
    json_write_record(&loop->other_doc, json_root(&loop->other_doc), id, out);
    return out->status;
}

struct shown {
    uint32_t revision;
    int64_t received_ms;
};

static enum status show_record(struct call *call, const struct catalog_type *type,
                               struct bytes target, uint64_t number, struct shown *ret_shown)
{
    struct txn *txn = NULL;
    enum status s = txn_read(call->loop->app->store, &txn);
    if (s != STATUS_OK)
        return s;
    struct revision revision;
    s = find_target(txn, type, target, &revision);
    if (s == STATUS_OK && number > 0 && number != revision.number) {
        struct uuid record = revision.record;
        s = record_revision(txn, &record, (uint32_t)number, &revision);
        if (s == STATUS_OK && revision.is_erased)
            s = STATUS_NOT_FOUND;
    }
    if (s == STATUS_OK) {
        buf_clear(&call->loop->body);
        s = put_record(call->loop, type, &revision, &call->loop->body);
        *ret_shown = (struct shown){revision.number, revision.received_ms};
    }
    txn_abort(txn);
    return s;
}

static bool etag_matches(struct bytes if_none_match, struct bytes etag)
{
    return if_none_match.len > 0 &&
           (bytes_equal_str(if_none_match, "*") || bytes_equal(if_none_match, etag));
}

void read_record(struct call *call, const struct http_request *request, const struct route *route,
                 const struct catalog_type *type)
{
    static const char *const KNOWN[] = {"revision"};
    uint64_t number;
    if (!query_is_known(call, request->query, KNOWN, 1))
        return;
    if (query_number(request->query, "revision", 0, UINT32_MAX, &number) != STATUS_OK ||
        (number == 0 && query_find(request->query, "revision").data)) {
        refuse_query(call, "revision", "a whole number from 1");
        return;
    }
    struct shown shown;
    enum status s = show_record(call, type, route->target, number, &shown);
    if (s == STATUS_NOT_FOUND) {
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is no such record or revision");
        return;
    }
    if (s != STATUS_OK) {
        call_unavailable(call, s);
        return;
    }
    CLEANUP(buf_fini) struct buf etag = {0};
    char received[TIME_TEXT_BYTES];
    reply_put_etag(&etag, shown.revision);
    time_format(shown.received_ms, received);
    struct call_extra extra = {0};
    call_extra_add(&extra, "etag", buf_bytes(&etag));
    call_extra_add(&extra, "x-received-at", bytes_of_str(received));
    struct precondition wanted;
    if (precondition_parse(http_header(request, "if-match"), (struct bytes){0}, &wanted) !=
        STATUS_OK) {
        call_refuse_plain(call, PROBLEM_INVALID_REQUEST,
                          "If-Match must be * or a list of entity tags such as \"3\"");
        return;
    }
    if (!precondition_allows(&wanted, shown.revision)) {
        call_refuse_plain(call, PROBLEM_PRECONDITION_FAILED,
                          "the record's current revision is not the one named");
        return;
    }
    bool is_known = etag_matches(http_header(request, "if-none-match"), buf_bytes(&etag));
    call_answer(call, is_known ? 304 : 200, bytes_of_str("application/json"),
                is_known ? (struct bytes){0} : buf_bytes(&call->loop->body), &extra);
}

/* False: answered. */
static bool read_time(struct call *call, struct bytes query, const char *name, int64_t *ret_ms)
{
    struct bytes text = query_find(query, name);
    *ret_ms = 0;
    if (!text.data)
        return true;
    CLEANUP(buf_fini) struct buf decoded = {0};
    if (percent_decode(&decoded, text) == STATUS_OK &&
        time_or_age_parse(buf_bytes(&decoded), clock_wall_ms(call->loop->app->clock), ret_ms) ==
            STATUS_OK)
        return true;
    refuse_query(call, name, "an RFC 3339 date-time or an age such as 15m, 24h, 7d");
    return false;
}

static bool read_page_query(struct call *call, struct bytes query, const struct catalog_type *type,
                            struct record_page *page, uint64_t *ret_limit)
{
    static const char *const KNOWN[] = {"limit", "cursor", "since", "until"};
    if (!query_is_known(call, query, KNOWN, 4))
        return false;
    if (query_number(query, "limit", READ_PAGE_DEFAULT, READ_PAGE_MAX, ret_limit) != STATUS_OK ||
        *ret_limit == 0) {
        refuse_query(call, "limit", "a whole number from 1 to 500");
        return false;
    }
    struct bytes cursor = query_find(query, "cursor");
    if (cursor.len > 0 && typeid_parse(cursor, type->type->id_prefix, &page->before) != STATUS_OK) {
        refuse_query(call, "cursor", "the nextCursor of a page of this type");
        return false;
    }
    return read_time(call, query, "since", &page->since_ms) &&
           read_time(call, query, "until", &page->until_ms);
}

/* `ret_cursor` is zero where the page is the last one. */
static enum status put_records(struct call *call, const struct catalog_type *type, struct txn *txn,
                               struct record_page *page, uint64_t limit, struct buf *out,
                               struct uuid *ret_cursor)
{
    struct revision revision;
    struct uuid last = {0};
    uint64_t count = 0;
    enum status s;
    while ((s = record_page_next(txn, page, &revision)) == STATUS_OK) {
        if (count == limit || out->len > READ_PAGE_BYTES) {
            *ret_cursor = last;
            return STATUS_OK;
        }
        if (count++ > 0)
            buf_put_char(out, ',');
        last = revision.record;
        enum status put = put_record(call->loop, type, &revision, out);
        if (put != STATUS_OK)
            return put;
    }
    if (s == STATUS_LIMIT) /* what follows is for the next request */
        *ret_cursor = page->before;
    return s == STATUS_LIMIT || s == STATUS_END ? STATUS_OK : s;
}

static enum status put_page(struct call *call, const struct catalog_type *type,
                            struct record_page *page, uint64_t limit, struct buf *out)
{
    struct txn *txn = NULL;
    struct uuid cursor = {0};
    enum status s = txn_read(call->loop->app->store, &txn);
    if (s != STATUS_OK)
        return s;
    s = put_records(call, type, txn, page, limit, out, &cursor);
    record_page_end(page);
    txn_abort(txn);
    if (s != STATUS_OK)
        return s;
    buf_put_str(out, "],\"nextCursor\":");
    if (uuid_is_zero(&cursor)) {
        buf_put_str(out, "null");
    } else {
        buf_put_char(out, '"');
        typeid_put(out, type->type->id_prefix, &cursor);
        buf_put_char(out, '"');
    }
    buf_put_char(out, '}');
    return out->status;
}

void read_page(struct call *call, const struct http_request *request,
               const struct catalog_type *type)
{
    struct record_page page = {.type = type->number, .skip_max = READ_SKIP_MAX};
    uint64_t limit;
    if (!read_page_query(call, request->query, type, &page, &limit))
        return;
    struct buf *out = &call->loop->body;
    buf_clear(out);
    buf_put_str(out, "{\"data\":[");
    enum status s = put_page(call, type, &page, limit, out);
    if (s != STATUS_OK)
        call_unavailable(call, s);
    else
        call_answer(call, 200, bytes_of_str("application/json"), buf_bytes(out), NULL);
}
