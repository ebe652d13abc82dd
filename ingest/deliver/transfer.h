/*
 * transfer: one attempt, from being picked until its outcome is stored. Plain data.
 *
 * One owner at a time: the dispatcher while it is sent, then a batch of outcomes (batch.h) on its
 * way through the writer, then the dispatcher again, which frees it.
 */
#pragma once

#include "base/digest.h"
#include "ingest/deliver/http_client.h"
#include "ingest/deliver/target.h"

struct transfer {
    struct transfer *next;        /* in the list that it is on */
    struct transfer *bucket_next; /* in the table of what is in flight */
    struct dispatcher *dispatcher;
    struct target *target; /* stays as long as the transfer */
    struct delivery delivery;
    struct post post;
    struct window_ticket ticket;
    bool is_sending;
    bool is_local; /* failed without being sent: what it would say is gone */

    char *url; /* copies: the endpoint may change while the attempt runs */
    struct buf sent_headers, logged_headers;
    struct buf body; /* until the answer is there */
    size_t body_bytes;
    uint8_t payload_hash[SHA256_BYTES];

    int64_t started_wall_ms, started_monotonic_ms;
    uint32_t duration_ms;
    struct decision decision;
};

void transfer_free(struct transfer *transfer); /* NULL allowed */
/* The attempt as it is logged; borrows from the transfer. */
struct attempt transfer_attempt(const struct transfer *transfer);
