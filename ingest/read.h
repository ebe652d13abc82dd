/*
 * read: GET of one record (any revision) and of pages, newest first.
 *
 * Each takes one short read transaction on the loop; a page has at most READ_PAGE_MAX records and
 * READ_PAGE_BYTES, and passes over READ_SKIP_MAX, so that it never holds a loop for long. It may be
 * short, or empty, and have a next one.
 */
#pragma once

#include "ingest/call.h"

#define READ_PAGE_DEFAULT 50
#define READ_PAGE_MAX 500
#define READ_PAGE_BYTES (4u << 20)
#define READ_SKIP_MAX 20000 /* deleted and erased records; some milliseconds */

void read_record(struct call *call, const struct http_request *request, const struct route *route,
                 const struct catalog_type *type);
void read_page(struct call *call, const struct http_request *request,
               const struct catalog_type *type);

/* A query parameter that is a whole number up to `max`; absent: the default. STATUS_INVALID. */
MUST_CHECK enum status query_number(struct bytes query, const char *name, uint64_t fallback,
                                    uint64_t max, uint64_t *ret_value);
/* 400 that says what a parameter must be. */
void refuse_query(struct call *call, const char *name, const char *what);
/* Is every parameter one of these? False: answered. */
bool query_is_known(struct call *call, struct bytes query, const char *const *names, size_t count);
