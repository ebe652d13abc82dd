/*
 * Happy path: send() takes an easy handle (a used one if there is one) and adds it to the multi;
 * libcurl says which sockets to watch (watch_socket) and when to call again (set_timer); each time
 * libuv reports something, act() hands it to libcurl and then collects what is complete. `done` is
 * called from there, outside of every libcurl callback, so that it may send again.
 *
 * Trust: the guard is asked twice. open_socket sees the very address that is about to be connected
 * to, after name resolution, so that a name cannot be checked as one address and connected to as
 * another. before_request sees the address of a connection that is used again, for settings may
 * have changed since it was opened.
 *
 * A receiver cannot hold more than its share: a response is read to POST_RESPONSE_MAX and
 * POST_HEADERS_MAX, the whole attempt has one timeout, TCP_USER_TIMEOUT ends connections whose peer
 * is silent (libcurl would go on using a dead HTTP/2 connection after a stream on it timed out),
 * and name resolution happens on libcurl's resolver threads, which QUICK_EXIT lets go of instead of
 * waiting for them when a lookup outlives its attempt.
 *
 * Over https a post waits for a connection to its host that is still being opened, as that may turn
 * out to be HTTP/2 and take them all. The handshake settles that. Over http only the first answer
 * would, so there nobody waits: one slow answer would hold up all of the host's other posts.
 *
 * Not used: CURLOPT_CONNECT_TO, which makes libcurl 7.88 keep all hosts' connections in one pool;
 * CURLOPT_CAPATH, which would switch off the cache of parsed CA certificates.
 */
#include "ingest/deliver/http_client.h"

#include "base/must.h"
#include "ingest/deliver/schedule.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <uv.h>

#define CONNECTIONS_MAX 1024   /* open ones, idle or not; more than hosts, or the pool thrashes */
#define PEER_SILENT_MS 20000U  /* sent data unacknowledged for so long: the peer is gone */
#define CONNECTION_LIFE_S 600L /* so that a change of DNS or of a load balancer is followed */
#define CALLS_KEPT 64          /* easy handles kept for the next post */

struct call {
    struct call *next; /* in the list of idle or of unwatched ones */
    struct curl_client *client;
    CURL *easy;
    struct curl_slist *headers;
    struct post *post;
    size_t header_bytes, body_bytes;
    bool is_answered; /* final status and all headers are there */
    bool is_cut;      /* we ended the response ourselves */
    bool is_unwatched;
    bool is_begun; /* it looked for an address or got a connection; else it waited for one */
    struct err denied;
    char error[CURL_ERROR_SIZE];
};

struct watch {
    uv_poll_t poll;
    curl_socket_t socket;
    struct curl_client *client;
};

struct curl_client {
    struct http_client interface;
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    const struct clock *clock;
    struct cidr *allow;
    size_t allow_count;
    bool is_http_allowed;
    char *ca_file;
    struct call *idle;
    size_t idle_count;
    struct call *unwatched; /* whose socket could not be watched, for want of memory */
};

static void call_free(struct call *call)
{
    curl_slist_free_all(call->headers);
    curl_easy_cleanup(call->easy);
    free(call);
}

static void mark_unwatched(struct call *call)
{
    if (call->is_unwatched)
        return;
    call->is_unwatched = true;
    call->next = call->client->unwatched;
    call->client->unwatched = call;
}

static void unmark_unwatched(struct call *call)
{
    struct call **at = &call->client->unwatched;
    if (!call->is_unwatched)
        return;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->is_unwatched = false;
}

/* After a call: keep the handle for the next one. */
static void call_release(struct call *call)
{
    struct curl_client *client = call->client;
    unmark_unwatched(call);
    call->post = NULL;
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    if (client->idle_count >= CALLS_KEPT) {
        call_free(call);
        return;
    }
    call->next = client->idle;
    client->idle = call;
    client->idle_count++;
}

/* libcurl's callbacks */

static int before_lookup(void *resolver_state, void *reserved, void *context)
{
    (void)resolver_state, (void)reserved;
    struct call *call = context;
    call->is_begun = true;
    return 0;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *peer)
{
    struct call *call = context;
    call->is_begun = true;
    struct address address;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        address_of_sockaddr(&peer->addr, &address, NULL) != STATUS_OK)
        return CURL_SOCKET_BAD;
    address_format(&address, call->post->address);
    if (address_guard_check(&address, call->client->allow, call->client->allow_count,
                            &call->denied) != STATUS_OK)
        return CURL_SOCKET_BAD;
    int fd = socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
    if (fd < 0) {
        /* A family that this host does not speak is the receiver's affair: it has no address here.
         */
        call->post->is_unsent = errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT;
        return CURL_SOCKET_BAD;
    }
    unsigned silent_ms = PEER_SILENT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
    return fd;
}

static int before_request(void *context, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    (void)own_ip, (void)peer_port, (void)own_port;
    struct call *call = context;
    call->is_begun = true;
    struct address address;
    if (address_parse(bytes_of_str(peer_ip), &address) != STATUS_OK)
        return CURL_PREREQFUNC_ABORT;
    address_format(&address, call->post->address);
    bool is_good = address_guard_check(&address, call->client->allow, call->client->allow_count,
                                       &call->denied) == STATUS_OK;
    return is_good ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* Called once a header line, and with the empty line that ends each response's headers. */
static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t len = size * count;
    call->header_bytes += len;
    if (call->header_bytes > POST_HEADERS_MAX)
        return CURL_WRITEFUNC_ERROR;
    bool is_end = (len == 2 && line[0] == '\r') || (len == 1 && line[0] == '\n');
    long status = 0;
    if (is_end && curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status >= 200 && status <= 999) {
        call->is_answered = true;
        call->post->http_status = (uint16_t)status;
    }
    return len;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    struct post *post = call->post;
    size_t len = size * count;
    size_t room = POST_RESPONSE_KEPT - post->response_bytes;
    size_t kept = len < room ? len : room;
    memcpy(post->response + post->response_bytes, data, kept);
    post->response_bytes = (uint16_t)(post->response_bytes + kept);
    call->body_bytes += len;
    if (call->body_bytes <= POST_RESPONSE_MAX)
        return len;
    call->is_cut = true;
    return CURL_WRITEFUNC_ERROR;
}

/* Setting up */

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, (option), (value));                                      \
    } while (0)

/* What is the same for every post of this handle. */
static CURLcode call_set_constants(struct call *call)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_RESOLVER_START_FUNCTION, before_lookup);
    SET(CURLOPT_RESOLVER_START_DATA, call);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, call);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, call);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_PROXY, ""); /* not from the environment either */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_S);
    SET(CURLOPT_POST, 1L);
    return code;
}

static bool is_https(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

static CURLcode call_set_post(struct call *call, struct post *post)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PROTOCOLS_STR, call->client->is_http_allowed ? "https,http" : "https");
    const char *ca_file = call->client->ca_file;
    SET(CURLOPT_CAINFO, ca_file ? ca_file : curl_version_info(CURLVERSION_NOW)->cainfo);
    SET(CURLOPT_URL, post->url);
    SET(CURLOPT_PIPEWAIT, is_https(post->url) ? 1L : 0L);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    SET(CURLOPT_POSTFIELDS, (const char *)post->body.data);
    SET(CURLOPT_TIMEOUT_MS, (long)post->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)post->timeout_ms); /* slow to connect is not too slow */
    SET(CURLOPT_FRESH_CONNECT, post->is_new_connection ? 1L : 0L);
    return code;
}

static bool headers_add(struct curl_slist **headers, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*headers, line);
    if (grown)
        *headers = grown;
    return grown != NULL;
}

/* libcurl wants a terminated string per line. */
static bool headers_make(struct curl_slist **headers, struct bytes lines)
{
    bool is_fine = headers_add(headers, "Expect:"); /* no 100-continue: it costs a round trip */
    while (is_fine && lines.len) {
        const uint8_t *end = memmem(lines.data, lines.len, "\r\n", 2);
        must(end != NULL);
        size_t len = (size_t)(end - lines.data);
        char *line = bytes_dup_str(bytes_of(lines.data, len));
        is_fine = line && headers_add(headers, line);
        free(line);
        lines = bytes_of(end + 2, lines.len - len - 2);
    }
    return is_fine;
}

static struct call *call_new(struct curl_client *client)
{
    struct call *call = client->idle;
    if (call) {
        client->idle = call->next;
        client->idle_count--;
        return call;
    }
    call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->client = client;
    call->easy = curl_easy_init();
    if (call->easy && call_set_constants(call) == CURLE_OK)
        return call;
    call_free(call);
    return NULL;
}

static enum status client_send(struct http_client *interface, struct post *post)
{
    struct curl_client *client = (struct curl_client *)interface;
    struct call *call = call_new(client);
    if (!call)
        return STATUS_NO_MEMORY;
    call->post = post;
    call->header_bytes = call->body_bytes = 0;
    call->is_answered = call->is_cut = call->is_begun = false;
    call->denied.text[0] = call->error[0] = '\0';
    post->is_unsent = post->is_crowded_out = false;
    post->http_status = 0;
    post->retry_after_ms = RETRY_AFTER_NONE;
    post->response_bytes = 0;
    post->address[0] = post->error[0] = '\0';
    if (!headers_make(&call->headers, post->headers) || call_set_post(call, post) != CURLE_OK ||
        curl_multi_add_handle(client->multi, call->easy) != CURLM_OK) {
        call_release(call);
        return STATUS_NO_MEMORY;
    }
    post->call = call;
    return STATUS_OK;
}

static void client_cancel(struct http_client *interface, struct post *post)
{
    struct curl_client *client = (struct curl_client *)interface;
    struct call *call = post->call;
    (void)curl_multi_remove_handle(client->multi, call->easy); /* fails only on a foreign handle */
    call_release(call);
}

/* Completion */

/* libcurl gives the same code for a scheme that we forbid and for an answer that is no HTTP. */
static bool is_refused_by_us(const struct call *call)
{
    return !call->client->is_http_allowed && !is_https(call->post->url);
}

/* A sentence for the attempt's log; what libcurl says is mostly good enough. */
static void describe_error(struct call *call, CURLcode code)
{
    struct post *post = call->post;
    const char *detail = call->error[0] ? call->error : curl_easy_strerror(code);
    if (call->denied.text[0])
        detail = call->denied.text;
    else if (code == CURLE_OPERATION_TIMEDOUT && !call->is_answered)
        detail = post->address[0] ? "no answer in time" : "no address in time";
    else if (code == CURLE_UNSUPPORTED_PROTOCOL && is_refused_by_us(call))
        detail = "http is not allowed, only https";
    else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
        detail = "not an HTTP answer";
    else if (code == CURLE_WRITE_ERROR && call->header_bytes > POST_HEADERS_MAX)
        detail = "the response's headers are too long";
    snprintf(post->error, sizeof post->error, "%s%.160s",
             call->is_answered ? "the response body broke off: " : "", detail);
}

static void complete(struct call *call, CURLcode code)
{
    struct post *post = call->post;
    struct curl_client *client = call->client;
    /* Another address of the same host may have worked after the shortage. */
    post->is_unsent =
        (post->is_unsent && code == CURLE_COULDNT_CONNECT) || code == CURLE_OUT_OF_MEMORY;
    post->is_crowded_out = code == CURLE_OPERATION_TIMEDOUT && !call->is_begun;
    struct curl_header *header;
    if (call->is_answered &&
        curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        post->retry_after_ms =
            retry_after_parse(bytes_of_str(header->value), clock_wall_ms(client->clock));
    if (code != CURLE_OK && !call->is_cut)
        describe_error(call, code);
    (void)curl_multi_remove_handle(client->multi, call->easy);
    call_release(call);
    post->call = NULL;
    post->done(post);
}

static void act(struct curl_client *client, curl_socket_t socket, int events)
{
    int running;
    (void)curl_multi_socket_action(client->multi, socket, events, &running);
    while (client->unwatched)
        complete(client->unwatched, CURLE_OUT_OF_MEMORY); /* which takes it off the list */
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct call *call = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        must(message->msg == CURLMSG_DONE && call != NULL);
        complete(call, code);
    }
}

/* libuv underneath */

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct curl_client *client = context;
    if (timeout_ms < 0)
        return uv_timer_stop(&client->timer) ? -1 : 0;
    return uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0) ? -1 : 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(watch->client, watch->socket, flags);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_new(struct curl_client *client, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->socket = socket;
    watch->client = client;
    if (uv_poll_init_socket(client->loop, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    (void)curl_multi_assign(client->multi, socket, watch); /* fails only on an unknown socket */
    return watch;
}

/* Without memory the post is ended, by act(). The callback never says that it failed: libcurl would
 * refuse every post from then on. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context,
                        void *socket_context)
{
    struct curl_client *client = context;
    struct watch *watch = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            (void)curl_multi_assign(client->multi, socket, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (!watch)
        watch = watch_new(client, socket);
    int events = what & CURL_POLL_IN ? UV_READABLE : 0;
    events |= what & CURL_POLL_OUT ? UV_WRITABLE : 0;
    struct call *call = NULL;
    if (!watch || uv_poll_start(&watch->poll, events, on_socket) != 0)
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    if (call)
        mark_unwatched(call);
    return 0;
}

/* A quarter of what this process may open: the rest is for those who send to us. */
static long connections_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 4 > CONNECTIONS_MAX)
        return CONNECTIONS_MAX;
    return limit.rlim_cur >= 4 ? (long)(limit.rlim_cur / 4) : 1;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_init(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

enum status http_client_set(struct http_client *interface,
                            const struct http_client_options *options)
{
    struct curl_client *client = (struct curl_client *)interface;
    struct cidr *allow = calloc(options->allow_count + 1, sizeof *allow);
    char *ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    if (!allow || (options->ca_file && !ca_file)) {
        free(allow);
        free(ca_file);
        return STATUS_NO_MEMORY;
    }
    if (options->allow_count)
        memcpy(allow, options->allow, options->allow_count * sizeof *allow);
    free(client->allow);
    free(client->ca_file);
    client->clock = options->clock;
    client->allow = allow;
    client->allow_count = options->allow_count;
    client->is_http_allowed = options->is_http_allowed;
    client->ca_file = ca_file;
    return STATUS_OK;
}

enum status http_client_new(uv_loop_t *loop, const struct http_client_options *options,
                            struct http_client **ret_client)
{
    pthread_once(&curl_once, curl_init);
    struct curl_client *client = calloc(1, sizeof *client);
    if (!client)
        return STATUS_NO_MEMORY;
    client->interface = (struct http_client){client_send, client_cancel};
    client->loop = loop;
    client->multi = curl_multi_init();
    if (!client->multi || http_client_set(&client->interface, options) != STATUS_OK) {
        curl_multi_cleanup(client->multi);
        free(client);
        return STATUS_NO_MEMORY;
    }
    must(uv_timer_init(loop, &client->timer) == 0);
    client->timer.data = client;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections_max());
    *ret_client = &client->interface;
    return STATUS_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct curl_client *client = handle->data;
    free(client->allow);
    free(client->ca_file);
    free(client);
}

void http_client_free(struct http_client *interface)
{
    struct curl_client *client = (struct curl_client *)interface;
    if (!client)
        return;
    while (client->idle) {
        struct call *call = client->idle;
        client->idle = call->next;
        call_free(call);
    }
    curl_multi_cleanup(client->multi); /* closes connections and through them the watches */
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}
