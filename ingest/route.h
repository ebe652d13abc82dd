/*
 * route: which resource does a path name, and which methods does it have? Pure.
 */
#pragma once

#include "base/bytes.h"

enum route_kind {
    ROUTE_NONE,
    ROUTE_ROOT,       /* / */
    ROUTE_PROBLEMS,   /* /problems/{slug} */
    ROUTE_COLLECTION, /* /api/webhook/{type} */
    ROUTE_RECORD,     /* /api/webhook/{type}/{id or record key} */
    ROUTE_EVENTS,     /* /api/events */
    ROUTE_OPENAPI,    /* /api/openapi.json */
    ROUTE_SCHEMA,     /* /api/schemas/{type} */
    ROUTE_API_OTHER,  /* anything else below /api/: 401 before 404 */
    ROUTE_HEALTHZ,    /* the rest: on the admin listener only */
    ROUTE_READYZ,
    ROUTE_METRICS,
};

struct route {
    enum route_kind kind;
    struct bytes type;   /* undecoded: type names need no escapes */
    struct bytes target; /* percent-encoded id or record key, or the problem's slug */
};

/* `is_admin`: what the admin listener serves instead. A trailing slash is ignored. */
struct route route_of(struct bytes path, bool is_admin);
/* "GET, HEAD, POST" for Allow. */
const char *route_methods(enum route_kind kind);
bool route_has_method(enum route_kind kind, struct bytes method);
/* The value of a query parameter, undecoded; {NULL,0}: absent. The first one counts. */
struct bytes query_find(struct bytes query, const char *name);
/* The first parameter that is none of the `count` names; {NULL,0}: all are known. */
struct bytes query_unknown(struct bytes query, const char *const *names, size_t count);
