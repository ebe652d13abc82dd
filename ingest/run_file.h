/*
 * run_file: DIR/posternd.json, where a running server says how to reach it: the contract's members,
 * and what the tool must know to judge an endpoint's URL as the server would.
 */
#pragma once

#include "ingest/http.h"
#include "ingest/settings.h"

/* Write it beside and rename. `listeners` and the server give the addresses really bound. */
MUST_CHECK enum status run_file_write(const struct settings *settings, const char *version,
                                      const struct http_server *server,
                                      const struct http_listen *listeners, size_t listener_count,
                                      struct err *err);
void run_file_remove(const struct settings *settings);
/* Ask the running server's /healthz. STATUS_OK: it answered 200. STATUS_NOT_FOUND: none runs there.
 */
MUST_CHECK enum status run_file_health(const struct settings *settings, struct err *err);
