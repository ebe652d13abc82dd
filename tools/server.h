/*
 * server: what the tool knows of the server of a data directory: DIR/posternd.json, which it writes
 * when it serves.
 */
#pragma once

#include "tools/tool.h"

#define SERVER_CIDRS_MAX 128

struct server {
    bool is_running; /* its process is there */
    int64_t pid;
    char version[32];
    char listen[256], cleartext[256], admin[256]; /* URLs, separated by ", "; "" for none */
    bool is_http_allowed;
    struct cidr allow[SERVER_CIDRS_MAX];
    size_t allow_count;
};

/* A server that never ran is no error: all zero. */
void server_read(const char *data, struct server *ret_server);
/* May this URL be delivered to, as far as is known here? Complains with the reason if not. */
MUST_CHECK int server_check_url(struct tool *tool, const struct args *args, const char *url);
