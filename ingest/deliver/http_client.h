/*
 * http_client: POSTs on their way. An interface of two functions, so that the dispatcher is tested
 * with a client that sends nothing, and the one client there is: libcurl's multi interface on
 * libuv.
 *
 * The client follows no redirect, uses no proxy, verifies certificates, and connects only where the
 * address guard lets it. It keeps connections open and uses HTTP/2 where a receiver speaks it.
 *
 * Thread: the loop's, everything.
 */
#pragma once

#include "base/clock.h"
#include "ingest/deliver/address_guard.h"

#define POST_RESPONSE_KEPT 4096       /* bytes of a response body that are kept */
#define POST_RESPONSE_MAX (64 * 1024) /* a longer one is cut off and counts as received */
#define POST_HEADERS_MAX (64 * 1024)  /* a response with longer headers is no answer */
#define POST_ERROR_CHARS 200

struct post {
    /* What to send, and who is told. Borrowed until `done` is called or the post is cancelled. */
    const char *url;
    struct bytes headers; /* lines, each "Name: value\r\n" */
    struct bytes body;
    uint32_t timeout_ms;
    bool is_new_connection; /* take none that is open already */
    void (*done)(struct post *post);
    void *context;

    /* What came back. A status counts as soon as the response's headers are complete: what happens
     * to its body after that is worth a note in `error` and nothing more. */
    bool is_unsent;      /* we lacked memory or descriptors: this says nothing about the receiver */
    bool is_crowded_out; /* it waited for another's connection until its time was over */
    uint16_t http_status;             /* 0: none came */
    int64_t retry_after_ms;           /* RETRY_AFTER_NONE */
    char address[ADDRESS_TEXT_BYTES]; /* connected to, or the last one tried; "" */
    char error[POST_ERROR_CHARS + 1]; /* "" */
    uint16_t response_bytes;
    uint8_t response[POST_RESPONSE_KEPT];

    void *call; /* the client's */
};

struct http_client {
    /* Begin. `done` is called later, never from within. STATUS_NO_MEMORY: nothing was begun. */
    enum status (*send)(struct http_client *client, struct post *post);
    /* Forget a post that was begun; `done` is not called. */
    void (*cancel)(struct http_client *client, struct post *post);
};

struct http_client_options {
    const struct clock *clock;
    const struct cidr *allow; /* copied, as the rest */
    size_t allow_count;
    bool is_http_allowed;
    const char *ca_file; /* PEM, instead of the system's; NULL: the system's */
};

struct uv_loop_s;
MUST_CHECK enum status http_client_new(struct uv_loop_s *loop,
                                       const struct http_client_options *options,
                                       struct http_client **ret_client);
/* Other settings from the next post on, for open connections too. On failure the old ones stay. */
MUST_CHECK enum status http_client_set(struct http_client *client,
                                       const struct http_client_options *options);
/* No post is under way. Frees once the loop has run again and closed its handles. */
void http_client_free(struct http_client *client);
