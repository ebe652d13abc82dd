/*
 * call: one authenticated (or refused) request from handler to answer: who sent it, what the
 * windows say, and the headers that every answer carries.
 *
 * A call lies on the handler's stack while it is answered at once, and is copied into the work of
 * those that are answered later; it holds no views of the request.
 */
#pragma once

#include "ingest/app.h"
#include "ingest/problem.h"
#include "ingest/route.h"

#define CALL_ROUTE_MAX 160

struct call {
    struct app_loop *loop;
    struct http_exchange *exchange;
    int64_t started_us; /* monotonic */
    int64_t started_ms; /* wall */
    char request_id[TYPEID_TEXT_BYTES];
    bool is_authenticated;
    bool is_counted; /* its row is written with what it stores: the tally leaves it alone */
    uint32_t api_key;
    struct limits limits;
    struct limiter_verdict verdict;
    struct address peer;
    char method[8];
    char route[CALL_ROUTE_MAX]; /* the path, cut; for the rejections log */
};

/* A field more than the usual ones. */
#define CALL_FIELDS_MAX 4
struct call_extra {
    struct http_field fields[CALL_FIELDS_MAX];
    size_t count;
};
void call_extra_add(struct call_extra *extra, const char *name, struct bytes value);

/* Answer, log and count; the exchange is gone afterwards. `body` may lie in any buffer but
 * loop->fields. */
void call_answer(struct call *call, int status, struct bytes content_type, struct bytes body,
                 const struct call_extra *extra);
/* Answer with a problem. Also the place where refusals are counted and handed to the rejections
 * log. */
void call_refuse(struct call *call, const struct refusal *refusal, const struct call_extra *extra);
/* The same where a detail says it all. */
void call_refuse_plain(struct call *call, enum problem problem, const char *detail);
/* 503 with Retry-After. */
void call_unavailable(struct call *call, enum status why);
/* Count and log a refusal that is answered otherwise: within a batch, or from a kept answer. */
void call_note_refusal(struct call *call, const struct refusal *refusal);
