/*
 * HTTP/1 as RFC 9112 has it, not as picohttpparser and h2o would let it pass: whatever two parsers
 * could read differently is refused, since a proxy in front of the cleartext listener is one of
 * them.
 *
 * A refused head is turned into a harmless parsed one (GET /, no fields) and a mark on the
 * connection, so that h2o takes the request to http_on_request, which answers properly and closes.
 * Left as an error, h2o would write its fixed "Bad Request".
 */
#include "ingest/h2o_guard_private.h"

#define CONTENT_LENGTH_DIGITS_MAX 18

static bool name_is(const struct phr_header *header, const char *lower, size_t len)
{
    return header->name_len == len && h2o_lcstris(header->name, len, lower, len);
}

/* What the head says about host, length and coding. */
struct framing {
    unsigned hosts, lengths, codings;
    bool is_odd;
    size_t length_index;
    uint64_t length;
};

static bool parse_length(const struct phr_header *header, uint64_t *ret_length)
{
    *ret_length = 0;
    if (header->value_len == 0 || header->value_len > CONTENT_LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < header->value_len; i++) {
        if (header->value[i] < '0' || header->value[i] > '9')
            return false;
        *ret_length = *ret_length * 10 + (uint64_t)(header->value[i] - '0');
    }
    return true;
}

static struct framing framing_of(const struct phr_header *headers, size_t count)
{
    struct framing f = {0};
    for (size_t i = 0; i < count; i++) {
        const struct phr_header *header = &headers[i];
        if (header->name == NULL || header->name_len == 0) {
            f.is_odd = true;
        } else if (name_is(header, H2O_STRLIT("host"))) {
            f.hosts++;
        } else if (name_is(header, H2O_STRLIT("content-length"))) {
            f.lengths++;
            f.length_index = i;
            f.is_odd |= !parse_length(header, &f.length);
        } else if (name_is(header, H2O_STRLIT("transfer-encoding"))) {
            f.codings++;
            f.is_odd |= !h2o_lcstris(header->value, header->value_len, H2O_STRLIT("chunked"));
        }
    }
    return f;
}

static bool has_bare_lf(const char *head, size_t len)
{
    const char *end = head + len;
    for (const char *at = head; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        if (at == head || at[-1] != '\r')
            return true;
    return false;
}

static bool head_is_acceptable(const char *head, size_t len, const struct framing *f,
                               int minor_version)
{
    return !f->is_odd && f->lengths <= 1 && f->codings <= 1 && f->lengths + f->codings <= 1 &&
           (f->codings == 0 || minor_version >= 1) && f->hosts <= 1 &&
           (f->hosts == 1 || minor_version == 0) && !has_bare_lf(head, len);
}

static bool has_too_many_lines(const char *buf, size_t len)
{
    unsigned lines = 0;
    const char *end = buf + len;
    for (const char *at = buf; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        if (++lines > HEAD_FIELDS_MAX + 1)
            return true;
        if (end - at > 2 && at[1] == '\r' && at[2] == '\n')
            return false;
    }
    return false;
}

static bool is_crlf_only(const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i] != '\r' && buf[i] != '\n')
            return false;
    return true;
}

/* h2o's own way must be taken for what it takes specially: the preface of HTTP/2, a stray CRLF. */
static bool is_left_to_h2o(const char *buf, size_t len)
{
    return (len >= 12 && memcmp(buf, "PRI * HTTP/2", 12) == 0) ||
           (len <= 4 && is_crlf_only(buf, len));
}

static int refuse_head(struct connection *connection, h2o_req_t *req, enum refusal why, size_t len,
                       int *minor_version, size_t *num_headers)
{
    connection->http1_refusal = why;
    req->input.method = h2o_iovec_init(H2O_STRLIT("GET"));
    req->input.path = h2o_iovec_init(H2O_STRLIT("/"));
    *minor_version = 1;
    *num_headers = 0;
    return (int)len;
}

/* The length alone decides; without the field h2o expects no body and calls the handler now. */
static void refuse_body(struct connection *connection, enum refusal why, struct phr_header *headers,
                        size_t *num_headers, size_t index)
{
    connection->http1_refusal = why;
    memmove(&headers[index], &headers[index + 1], (*num_headers - index - 1) * sizeof headers[0]);
    --*num_headers;
}

static void expect_body(struct connection *connection, h2o_req_t *req, const struct framing *f,
                        struct phr_header *headers, size_t *num_headers)
{
    const struct http_server_options *options = &connection->loop->server->options;
    connection->has_spoken = true;
    if (f->lengths != 0 && f->length > options->body_bytes_max)
        refuse_body(connection, REFUSAL_TOO_LARGE, headers, num_headers, f->length_index);
    else if (f->lengths != 0 && !connection_could_hold(connection, f->length))
        refuse_body(connection, REFUSAL_OVER_BUDGET, headers, num_headers, f->length_index);
    else if (f->lengths + f->codings != 0)
        connection->http1_req = req;
}

int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len,
                      const char **path, size_t *path_len, int *minor_version,
                      struct phr_header *headers, size_t *num_headers, size_t last_len)
{
    /* h2o passes the address of the member; that is the only way to the request from here */
    h2o_req_t *req = H2O_STRUCT_FROM_MEMBER(h2o_req_t, input.method.base, (char **)method);
    struct connection *connection = connection_of_req(req);
    size_t head_len = len < HEAD_BYTES_MAX ? len : HEAD_BYTES_MAX;

    int ret = GUARD_REAL(phr_parse_request)(buf, head_len, method, method_len, path, path_len,
                                            minor_version, headers, num_headers,
                                            last_len < head_len ? last_len : head_len);
    if (ret == -2 && head_len == HEAD_BYTES_MAX)
        return refuse_head(connection, req, REFUSAL_HEAD_TOO_LARGE, len, minor_version,
                           num_headers);
    if (ret == -1 && !is_left_to_h2o(buf, len))
        return refuse_head(connection, req,
                           has_too_many_lines(buf, head_len) ? REFUSAL_HEAD_TOO_LARGE
                                                             : REFUSAL_BAD_REQUEST,
                           len, minor_version, num_headers);
    if (ret < 0)
        return ret;
    struct framing f = framing_of(headers, *num_headers);
    if (!head_is_acceptable(buf, (size_t)ret, &f, *minor_version) ||
        !is_visible_ascii(*path, *path_len) || !is_visible_ascii(*method, *method_len))
        return refuse_head(connection, req, REFUSAL_BAD_REQUEST, len, minor_version, num_headers);
    expect_body(connection, req, &f, headers, num_headers);
    return ret;
}

int h2o_http2_handle_upgrade(h2o_req_t *req, struct timeval connected_at)
{
    (void)req;
    (void)connected_at;
    guard_mark(GUARD_h2o_http2_handle_upgrade);
    return -1; /* RFC 9113 dropped it; the request is answered over HTTP/1 */
}

static const char *error_detail(int status)
{
    switch (status) {
    case 400:
        return "the request is not well-formed HTTP";
    case 417:
        return "only 100-continue can be expected";
    default:
        return "the request cannot be served";
    }
}

/* h2o's own errors, as problem documents. */
void h2o_send_error_generic(h2o_req_t *req, int status, const char *reason, const char *body,
                            int flags)
{
    (void)reason;
    (void)body;
    struct connection *connection = connection_of_req(req);
    guard_mark(GUARD_h2o_send_error_generic);
    if (status == 413 && connection->http1_req == req) {
        guard_http1_cut(connection, REFUSAL_TOO_LARGE); /* chunks added up to more than allowed */
        return;
    }
    if (req->pathconf == NULL) {
        h2o_hostconf_t *host = *req->conn->hosts;
        h2o_req_bind_conf(req, host, &host->fallback_path);
    }
    if ((flags & H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION) != 0) {
        req->http1_is_persistent = 0;
        connection->is_lingering = !connection->is_http2;
    }
    request_send_problem(req, status, error_detail(status));
}
