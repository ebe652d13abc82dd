/*
 * openapi: the documentation of what the server receives, as an OpenAPI 3.1 document made from the
 * record types' schema files: what Postman and code generators read. Served at /api/openapi.json; a
 * new schema file is a new entry.
 *
 * Pure.
 */
#pragma once

#include "schemas/record_type.h"

/* Append the document. `out` fails with STATUS_NO_MEMORY alone. */
void openapi_put(const struct record_types *types, const char *version, struct buf *out);
