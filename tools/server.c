/*
 * The file is the server's own, but it may be old, or be edited: whatever in it is not as expected
 * counts as absent. What the flags, the environment and the file allow is added up.
 */
#include "tools/server.h"
#include "schemas/decimal.h"

#include "base/cleanup.h"
#include "ingest/deliver/address_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#define SERVER_FILE_BYTES_MAX (64 * 1024)

static void read_text(const struct json_doc *doc, uint32_t node, char *out, size_t out_bytes)
{
    CLEANUP(buf_fini) struct buf scratch = {0};
    if (node == JSON_NONE || json_kind_of(doc, node) != JSON_STRING)
        return;
    struct bytes text = json_string(doc, node, &scratch);
    snprintf(out, out_bytes, "%.*s", BYTES_ARG(text));
}

static void read_urls(const struct json_doc *doc, uint32_t node, struct server_urls *urls)
{
    if (node == JSON_NONE || json_kind_of(doc, node) != JSON_ARRAY)
        return;
    for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i)) {
        if (urls->count < SERVER_URLS_MAX)
            read_text(doc, i, urls->texts[urls->count++], sizeof(urls->texts[0]));
    }
}

static void allow(struct server *server, struct bytes text)
{
    struct cidr *next = &server->allow[server->allow_count];
    if (server->allow_count < SERVER_CIDRS_MAX && cidr_parse(text, next) == STATUS_OK)
        server->allow_count++;
}

static void read_allowed(const struct json_doc *doc, struct server *server)
{
    uint32_t http = json_member(doc, 0, "deliverHttp");
    uint32_t list = json_member(doc, 0, "deliverAllow");
    server->is_http_allowed = http != JSON_NONE && json_kind_of(doc, http) == JSON_TRUE;
    if (list == JSON_NONE || json_kind_of(doc, list) != JSON_ARRAY)
        return;
    for (uint32_t i = json_first(doc, list); i != JSON_NONE; i = json_after(doc, list, i)) {
        if (json_kind_of(doc, i) == JSON_STRING)
            allow(server, json_raw(doc, i));
    }
}

/* The lock goes with its holder, however that ended; a process id says nothing about another
 * container, and is given again. */
static bool is_locked(const char *data)
{
    CLEANUP(buf_fini) struct buf path = {0};
    buf_printf(&path, "%s/posternd.lock", data);
    CLEANUP(closep) int fd = open(buf_str(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static void read_doc(const struct json_doc *doc, struct server *server)
{
    uint32_t pid = json_member(doc, 0, "pid");
    uint64_t number;
    if (pid != JSON_NONE && json_kind_of(doc, pid) == JSON_NUMBER &&
        decimal_to_u64(json_raw(doc, pid), &number) && number <= INT32_MAX)
        server->pid = (int64_t)number;
    read_text(doc, json_member(doc, 0, "version"), server->version, sizeof(server->version));
    read_text(doc, json_member(doc, 0, "admin"), server->admin, sizeof(server->admin));
    read_text(doc, json_member(doc, 0, "schemas"), server->schemas, sizeof(server->schemas));
    read_urls(doc, json_member(doc, 0, "listen"), &server->listen);
    read_urls(doc, json_member(doc, 0, "cleartext"), &server->cleartext);
    read_allowed(doc, server);
}

void server_read(const char *data, struct server *ret_server)
{
    CLEANUP(buf_fini) struct buf path = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    struct json_doc doc = {0};
    *ret_server = (struct server){0};
    buf_printf(&path, "%s/posternd.json", data);
    if (json_read_file(buf_str(&path), SERVER_FILE_BYTES_MAX, &text, &doc, NULL) == STATUS_OK)
        read_doc(&doc, ret_server);
    json_doc_fini(&doc);
    ret_server->is_running = is_locked(data);
}

static void add_environment(struct server *server)
{
    const char *http = getenv("POSTERN_DELIVER_HTTP"), *list = getenv("POSTERN_DELIVER_ALLOW");
    if (http && (!strcmp(http, "1") || !strcmp(http, "true") || !strcmp(http, "yes") ||
                 !strcmp(http, "on")))
        server->is_http_allowed = true;
    while (list && *list) {
        size_t len = strcspn(list, ",");
        allow(server, bytes_of(list, len));
        list += len + (list[len] == ',');
    }
}

static void add_flags(struct server *server, const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    server->is_http_allowed |= args_has(args, "deliver-http");
    while ((value = args_each(args, "deliver-allow", &at)))
        allow(server, bytes_of_str(value->text));
}

int server_check_url(struct tool *tool, const struct args *args, const char *url)
{
    struct err err = {0};
    struct server server;
    server_read(tool->data, &server);
    add_environment(&server);
    add_flags(&server, args);
    enum status s = url_guard_check(bytes_of_str(url), server.is_http_allowed, server.allow,
                                    server.allow_count, &err);
    if (s == STATUS_OK)
        return DONE;
    if (s == STATUS_DENIED)
        return complain("--url: %s. The server's --deliver-http and --deliver-allow CIDR make "
                        "exceptions; this command takes them too",
                        err.text);
    return complain_usage(args, "--url: %s", err.text);
}
