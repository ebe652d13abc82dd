/*
 * The file exists while the server serves; after a kill -9 it is left behind, so whoever reads it
 * must try the address. A Unix socket's admin URL is "unix:/path".
 */
#include "ingest/run_file.h"

#include "base/cleanup.h"
#include "schemas/json_write.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_FILE_BYTES_MAX 65536
#define HEALTH_TIMEOUT_MS 5000L

static void path_of(const struct settings *settings, struct buf *out, const char *suffix)
{
    buf_printf(out, "%s/posternd.json%s", settings->data, suffix);
}

static void put_urls(struct buf *out, const struct http_server *server,
                     const struct http_listen *listeners, size_t count,
                     enum http_listener_kind kind)
{
    const char *comma = "";
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].kind != kind)
            continue;
        buf_put_str(out, comma);
        json_put_str(out, http_server_url(server, i));
        comma = ",";
    }
}

static void put_content(const struct settings *settings, const char *version,
                        const struct http_server *server, const struct http_listen *listeners,
                        size_t count, struct buf *out)
{
    buf_printf(out, "{\"pid\":%ld,\"version\":\"%s\",\"listen\":[", (long)getpid(), version);
    put_urls(out, server, listeners, count, HTTP_TLS);
    buf_put_str(out, "],\"cleartext\":[");
    put_urls(out, server, listeners, count, HTTP_CLEARTEXT);
    buf_put_str(out, "],\"admin\":");
    put_urls(out, server, listeners, count, HTTP_ADMIN);
    buf_printf(out, ",\"deliverHttp\":%s,\"deliverAllow\":[",
               settings->deliver_http ? "true" : "false");
    for (size_t i = 0; i < settings->deliver_allow_count; i++) {
        char text[ADDRESS_TEXT_BYTES + 4];
        cidr_format(&settings->deliver_allow[i], text);
        buf_printf(out, "%s\"%s\"", i ? "," : "", text);
    }
    buf_put_str(out, "],\"schemas\":");
    char *schemas = realpath(settings->schemas, NULL);
    json_put_str(out, schemas ? schemas : settings->schemas);
    free(schemas);
    buf_put_str(out, "}\n");
}

enum status run_file_write(const struct settings *settings, const char *version,
                           const struct http_server *server, const struct http_listen *listeners,
                           size_t listener_count, struct err *err)
{
    CLEANUP(buf_fini) struct buf path = {0};
    CLEANUP(buf_fini) struct buf temporary = {0};
    CLEANUP(buf_fini) struct buf content = {0};
    path_of(settings, &path, "");
    path_of(settings, &temporary, ".new");
    put_content(settings, version, server, listeners, listener_count, &content);
    CLEANUP(closep)
    int fd = open(buf_str(&temporary), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, content.data, content.len) != (ssize_t)content.len ||
        rename(buf_str(&temporary), buf_str(&path)) != 0) {
        int code = errno;
        unlink(buf_str(&temporary)); /* it may not even be there */
        err_set(err, "%s: %s", buf_str(&path), strerror(code));
        return code == ENOSPC || code == EDQUOT ? STATUS_NO_SPACE : STATUS_IO;
    }
    return STATUS_OK;
}

void run_file_remove(const struct settings *settings)
{
    CLEANUP(buf_fini) struct buf path = {0};
    path_of(settings, &path, "");
    unlink(buf_str(&path));
}

static size_t drop_body(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static enum status ask(const char *admin, struct err *err)
{
    static const char UNIX[] = "unix:";
    bool is_unix = strncmp(admin, UNIX, sizeof UNIX - 1) == 0;
    CLEANUP(buf_fini) struct buf url = {0};
    buf_printf(&url, "%s/healthz", is_unix ? "http://localhost" : admin);
    CURL *curl = curl_easy_init();
    if (!curl)
        return STATUS_NO_MEMORY;
    curl_easy_setopt(curl, CURLOPT_URL, buf_str(&url));
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, HEALTH_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
    if (is_unix)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, admin + sizeof UNIX - 1);
    CURLcode code = curl_easy_perform(curl);
    long http_status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http_status);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK && http_status == 200)
        return STATUS_OK;
    if (code != CURLE_OK)
        err_set(err, "%s: %s", buf_str(&url), curl_easy_strerror(code));
    else
        err_set(err, "%s: HTTP status %ld", buf_str(&url), http_status);
    return STATUS_IO;
}

enum status run_file_health(const struct settings *settings, struct err *err)
{
    CLEANUP(buf_fini) struct buf path = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(buf_fini) struct buf scratch = {0};
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    path_of(settings, &path, "");
    if (access(buf_str(&path), F_OK) != 0) {
        err_set(err, "%s: no server runs on this data directory", buf_str(&path));
        return STATUS_NOT_FOUND;
    }
    enum status s = json_read_file(buf_str(&path), RUN_FILE_BYTES_MAX, &text, &doc, err);
    if (s != STATUS_OK)
        return s;
    uint32_t node = json_member(&doc, json_root(&doc), "admin");
    if (node == JSON_NONE || json_kind_of(&doc, node) != JSON_STRING) {
        err_set(err, "%s: names no admin address", buf_str(&path));
        return STATUS_INVALID;
    }
    struct bytes admin = json_string(&doc, node, &scratch);
    CLEANUP(freep) char *address = bytes_dup_str(admin);
    return address ? ask(address, err) : STATUS_NO_MEMORY;
}
