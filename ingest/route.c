/*
 * Paths are matched as sent: no normalisation, so "/api/webhook/workorder/../x" names a record
 * whose key is not there, and a record key with a slash must be sent as %2F.
 */
#include "ingest/route.h"

static const struct {
    const char *path;
    enum route_kind kind;
    bool is_admin;
} FIXED[] = {
    {"", ROUTE_ROOT, false},
    {"/api/events", ROUTE_EVENTS, false},
    {"/api/openapi.json", ROUTE_OPENAPI, false},
    {"/problems", ROUTE_PROBLEMS, false},
    {"", ROUTE_ROOT, true},
    {"/healthz", ROUTE_HEALTHZ, true},
    {"/readyz", ROUTE_READYZ, true},
    {"/metrics", ROUTE_METRICS, true},
};

static const char *const METHODS[] = {
    [ROUTE_NONE] = "",
    [ROUTE_ROOT] = "GET, HEAD",
    [ROUTE_PROBLEMS] = "GET, HEAD",
    [ROUTE_COLLECTION] = "GET, HEAD, POST",
    [ROUTE_RECORD] = "GET, HEAD, PATCH, DELETE",
    [ROUTE_EVENTS] = "GET, HEAD",
    [ROUTE_OPENAPI] = "GET, HEAD",
    [ROUTE_SCHEMA] = "GET, HEAD",
    [ROUTE_API_OTHER] = "",
    [ROUTE_HEALTHZ] = "GET, HEAD",
    [ROUTE_READYZ] = "GET, HEAD",
    [ROUTE_METRICS] = "GET, HEAD",
};

static bool strip_prefix(struct bytes *path, const char *prefix)
{
    size_t len = strlen(prefix);
    if (path->len < len || memcmp(path->data, prefix, len) != 0)
        return false;
    *path = bytes_of(path->data + len, path->len - len);
    return true;
}

static struct route webhook_route(struct bytes rest)
{
    const uint8_t *slash = rest.len ? memchr(rest.data, '/', rest.len) : NULL;
    if (!slash)
        return (struct route){.kind = rest.len ? ROUTE_COLLECTION : ROUTE_API_OTHER, .type = rest};
    struct bytes type = bytes_of(rest.data, (size_t)(slash - rest.data));
    struct bytes target = bytes_of(slash + 1, rest.len - type.len - 1);
    if (type.len == 0 || memchr(target.data, '/', target.len))
        return (struct route){.kind = ROUTE_API_OTHER};
    return (struct route){.kind = ROUTE_RECORD, .type = type, .target = target};
}

struct route route_of(struct bytes path, bool is_admin)
{
    if (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++) {
        if (FIXED[i].is_admin == is_admin && bytes_equal_str(path, FIXED[i].path))
            return (struct route){.kind = FIXED[i].kind};
    }
    if (is_admin)
        return (struct route){.kind = ROUTE_NONE};
    if (strip_prefix(&path, "/api/webhook/"))
        return webhook_route(path);
    if (strip_prefix(&path, "/api/schemas/"))
        return (struct route){.kind = ROUTE_SCHEMA, .type = path};
    if (strip_prefix(&path, "/problems/"))
        return (struct route){.kind = ROUTE_PROBLEMS, .target = path};
    if (strip_prefix(&path, "/api/") || bytes_equal_str(path, "/api"))
        return (struct route){.kind = ROUTE_API_OTHER};
    return (struct route){.kind = ROUTE_NONE};
}

const char *route_methods(enum route_kind kind)
{
    return METHODS[kind];
}

bool route_has_method(enum route_kind kind, struct bytes method)
{
    const char *at = METHODS[kind];
    while (*at) {
        size_t len = strcspn(at, ",");
        if (bytes_equal(method, bytes_of(at, len)))
            return true;
        at += len;
        at += strspn(at, ", ");
    }
    return false;
}

/* One "name=value" of a query; false: no more. */
static bool query_next(struct bytes *rest, struct bytes *ret_name, struct bytes *ret_value)
{
    while (rest->len > 0 && *rest->data == '&')
        *rest = bytes_of(rest->data + 1, rest->len - 1);
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '&', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    const uint8_t *equals = memchr(rest->data, '=', len);
    size_t name_len = equals ? (size_t)(equals - rest->data) : len;
    *ret_name = bytes_of(rest->data, name_len);
    *ret_value = equals ? bytes_of(equals + 1, len - name_len - 1) : bytes_of(rest->data + len, 0);
    *rest = bytes_of(rest->data + len, rest->len - len);
    return true;
}

struct bytes query_find(struct bytes query, const char *name)
{
    struct bytes at, value;
    while (query_next(&query, &at, &value)) {
        if (bytes_equal_str(at, name))
            return value;
    }
    return (struct bytes){0};
}

struct bytes query_unknown(struct bytes query, const char *const *names, size_t count)
{
    struct bytes at, value;
    while (query_next(&query, &at, &value)) {
        size_t i = 0;
        while (i < count && !bytes_equal_str(at, names[i]))
            i++;
        if (i == count)
            return at;
    }
    return (struct bytes){0};
}
