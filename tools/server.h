/*
 * server: what the tool knows of the server of a data directory: DIR/posternd.json, which it writes
 * when it serves.
 */
#pragma once

#include "tools/tool.h"

#define SERVER_CIDRS_MAX 128

#define SERVER_URLS_MAX 16

struct server_urls {
    char texts[SERVER_URLS_MAX][128];
    size_t count;
};

struct server {
    bool is_running; /* somebody holds the data directory's lock */
    int64_t pid;     /* 0: it said nothing, or ended cleanly */
    char version[32];
    struct server_urls listen, cleartext;
    char admin[256];
    char schemas[1024]; /* the folder it reads; "" where it does not say */
    bool is_http_allowed;
    struct cidr allow[SERVER_CIDRS_MAX];
    size_t allow_count;
};

/* A server that never ran is no error: all zero. */
void server_read(const char *data, struct server *ret_server);
/* May this URL be delivered to, as far as is known here? Complains with the reason if not. */
MUST_CHECK int server_check_url(struct tool *tool, const struct args *args, const char *url);
