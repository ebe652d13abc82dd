/*
 * uri: references against a base (RFC 3986 section 5), as JSON Schema's `$id` and `$ref` need it.
 *
 * Not here: whether a text is a valid URI (schemas/format_uri.c). Any text is taken apart by the
 * pattern of RFC 3986 appendix B, which accepts everything. Pure; any thread.
 */
#pragma once

#include "base/bytes.h"

struct uri_parts {
    struct bytes scheme;    /* without ':' */
    struct bytes authority; /* without "//" */
    struct bytes path;
    struct bytes query;    /* without '?' */
    struct bytes fragment; /* without '#' */
    bool has_scheme;
    bool has_authority;
    bool has_query;
    bool has_fragment;
};

/* Views into `uri`. */
struct uri_parts uri_split(struct bytes uri);
/* Append the absolute form of `reference` as seen from `base`; a fragment is kept. */
void uri_resolve(struct bytes base, struct bytes reference, struct buf *out);
/* The part before '#'; `ret_fragment` (may be NULL) gets what follows it. */
struct bytes uri_without_fragment(struct bytes uri, struct bytes *ret_fragment);
