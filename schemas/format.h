/*
 * format: the named formats of JSON Schema 2020-12 (validation section 7.3), one table.
 *
 * Each is a predicate over the resolved string, written out by hand from the RFC it names; they
 * allocate nothing, except the internationalised host names (libidn2) and `regex`.
 * Pure; any thread. To add one, start at FORMATS in format.c.
 */
#pragma once

#include "base/bytes.h"

struct format {
    const char *name;
    const char *phrase; /* what a violation says: "an RFC 3339 date-time" */
    bool (*is_valid)(struct bytes text);
};

/* NULL: not one of ours. */
const struct format *format_find(struct bytes name);
/* All of them, for lists. NULL past the end. */
const struct format *format_at(size_t index);
