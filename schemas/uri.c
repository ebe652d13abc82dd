/*
 * Design: split by appendix B, transform by section 5.2.2, remove dot segments by 5.2.4 into the
 * output buffer. Nothing is normalised beyond that (no case folding, no percent-decoding): JSON
 * Schema compares identifiers as text.
 */
#include "schemas/uri.h"

static struct bytes take_until(struct bytes *rest, const char *stops)
{
    size_t len = 0;
    while (len < rest->len && (!rest->data[len] || !strchr(stops, rest->data[len])))
        len++;
    struct bytes taken = bytes_of(rest->data, len);
    *rest = bytes_of(rest->data + len, rest->len - len);
    return taken;
}

static bool next_is(const struct bytes *rest, char c)
{
    return rest->len && rest->data[0] == (uint8_t)c;
}

static void skip(struct bytes *rest, size_t count)
{
    *rest = bytes_of(rest->data + count, rest->len - count);
}

struct uri_parts uri_split(struct bytes uri)
{
    struct uri_parts parts = {0};
    struct bytes rest = uri;
    struct bytes scheme = take_until(&rest, ":/?#");
    if (scheme.len && next_is(&rest, ':')) {
        parts.has_scheme = true;
        parts.scheme = scheme;
        skip(&rest, 1);
    } else {
        rest = uri;
    }
    if (rest.len >= 2 && rest.data[0] == '/' && rest.data[1] == '/') {
        skip(&rest, 2);
        parts.has_authority = true;
        parts.authority = take_until(&rest, "/?#");
    }
    parts.path = take_until(&rest, "?#");
    if (next_is(&rest, '?')) {
        skip(&rest, 1);
        parts.has_query = true;
        parts.query = take_until(&rest, "#");
    }
    if (next_is(&rest, '#')) {
        skip(&rest, 1);
        parts.has_fragment = true;
        parts.fragment = rest;
    }
    return parts;
}

struct bytes uri_without_fragment(struct bytes uri, struct bytes *ret_fragment)
{
    struct bytes rest = uri;
    struct bytes head = take_until(&rest, "#");
    if (rest.len)
        skip(&rest, 1);
    if (ret_fragment)
        *ret_fragment = rest;
    return head;
}

static bool is_segment(struct bytes segment, const char *text)
{
    return bytes_equal_str(segment, text);
}

/* RFC 3986 section 5.2.4. `start` is where the path begins in `out`; what stands there already is
 * a path that new segments are added to. */
static void put_path_without_dots(struct buf *out, size_t start, struct bytes path)
{
    bool is_first = true;
    while (path.len && out->status == STATUS_OK) {
        bool has_slash = next_is(&path, '/');
        if (has_slash)
            skip(&path, 1);
        struct bytes segment = take_until(&path, "/");
        if (is_segment(segment, "..")) {
            while (out->len > start && out->data[out->len - 1] != '/')
                out->len--;
            if (out->len > start)
                out->len--;
        }
        if (is_segment(segment, ".") || is_segment(segment, "..")) {
            if (!path.len && (has_slash || out->len > start))
                buf_put_char(out, '/');
        } else {
            if (has_slash && !(is_first && out->len > start && out->data[out->len - 1] == '/'))
                buf_put_char(out, '/');
            buf_put_bytes(out, segment);
        }
        is_first = false;
    }
}

/* Section 5.2.3: the base path up to its last slash, then the reference's. */
static void put_merged_path(struct buf *out, const struct uri_parts *base, struct bytes path)
{
    struct buf merged = {0};
    if (base->has_authority && !base->path.len) {
        buf_put_char(&merged, '/');
    } else {
        size_t len = base->path.len;
        while (len && base->path.data[len - 1] != '/')
            len--;
        buf_put(&merged, base->path.data, len);
    }
    buf_put_bytes(&merged, path);
    if (merged.status != STATUS_OK)
        out->status = merged.status;
    else
        put_path_without_dots(out, out->len, buf_bytes(&merged));
    buf_fini(&merged);
}

static void put_authority(struct buf *out, const struct uri_parts *parts)
{
    if (parts->has_authority) {
        buf_put_str(out, "//");
        buf_put_bytes(out, parts->authority);
    }
}

static void put_query(struct buf *out, const struct uri_parts *parts)
{
    if (parts->has_query) {
        buf_put_char(out, '?');
        buf_put_bytes(out, parts->query);
    }
}

void uri_resolve(struct bytes base_text, struct bytes reference_text, struct buf *out)
{
    struct uri_parts base = uri_split(base_text);
    struct uri_parts ref = uri_split(reference_text);
    const struct uri_parts *top = ref.has_scheme ? &ref : &base;
    if (top->has_scheme) {
        buf_put_bytes(out, top->scheme);
        buf_put_char(out, ':');
    }
    if (ref.has_scheme || ref.has_authority) {
        put_authority(out, &ref);
        put_path_without_dots(out, out->len, ref.path);
        put_query(out, &ref);
    } else if (!ref.path.len) {
        put_authority(out, &base);
        buf_put_bytes(out, base.path);
        put_query(out, ref.has_query ? &ref : &base);
    } else {
        put_authority(out, &base);
        if (next_is(&ref.path, '/'))
            put_path_without_dots(out, out->len, ref.path);
        else
            put_merged_path(out, &base, ref.path);
        put_query(out, &ref);
    }
    if (ref.has_fragment) {
        buf_put_char(out, '#');
        buf_put_bytes(out, ref.fragment);
    }
}
