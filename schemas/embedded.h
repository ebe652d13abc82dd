/*
 * embedded: the schema texts that are compiled in: the 2020-12 metaschemas and x-postern's own.
 * The table is made by schemas/embed.py. To add one, start at embedded_files in meson.build.
 */
#pragma once

#include "base/bytes.h"

struct embedded_schema {
    const char *uri; /* absolute, without fragment */
    struct bytes text;
};

extern const struct embedded_schema EMBEDDED_SCHEMAS[];
extern const size_t EMBEDDED_SCHEMA_COUNT;
