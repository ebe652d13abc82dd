/*
 * submission: one request that writes, on its way through the writer and back: what was asked, in
 * the form that apply needs, and what became of it.
 *
 * Owner: the loop that makes it, then the writer (writer_submit to done), then the loop again,
 * which answers and frees it. All its memory lies in one arena.
 */
#pragma once

#include "base/arena.h"
#include "base/digest.h"
#include "ingest/catalog.h"
#include "ingest/limiter.h"
#include "ingest/problem.h"
#include "schemas/change.h"

/* Room for what one revision can raise: `each` events, and `when` events beside them. */
#define CHANGES_CAPACITY (CHANGE_EVENTS_MAX + 256)

enum submission_kind { SUBMIT_POST, SUBMIT_PATCH, SUBMIT_DELETE };

/* If-Match and If-None-Match (RFC 9110 section 13.1), as far as they make sense for one record. */
#define PRECONDITION_TAGS_MAX 16
struct precondition {
    bool is_any;    /* If-Match: * */
    bool is_absent; /* If-None-Match: * */
    bool has_tags;  /* If-Match with tags; only strong ones of ours are listed */
    uint8_t tag_count;
    uint32_t tags[PRECONDITION_TAGS_MAX]; /* revision numbers */
};

enum item_result {
    ITEM_PENDING,
    ITEM_STORED, /* created, updated or deleted: see action */
    ITEM_UNCHANGED,
    ITEM_REFUSED, /* see problem */
    ITEM_STALE,   /* PATCH: the record changed since it was merged; merge again */
};

struct item_event {
    struct uuid id;
    const char *name; /* borrowed from the record type */
};

/* One record of the request. */
struct item {
    /* What is asked. Views into the arena. */
    struct bytes body; /* POST: the sender's bytes; PATCH: the merged record */
    struct bytes key;  /* record key of the body; empty: none */
    bool has_id;       /* POST with an "id"; PATCH and DELETE that name an id */
    struct uuid id;
    struct bytes target;    /* PATCH, DELETE: the record key named instead; empty: an id */
    uint32_t base_revision; /* PATCH: what it was merged with */
    struct bytes warnings;  /* JSON array of unknown members; empty: none */
    struct change_event *created_events; /* what it raises as a first revision */
    size_t created_event_count;
    uint32_t line; /* of a batch, from 1; 0: no batch */

    /* What became of it. */
    enum item_result result;
    enum record_action action;
    struct uuid record;
    uint32_t revision;
    int64_t received_ms;
    struct bytes stored_key;
    struct item_event *events;
    size_t event_count;
    /* Refused, by the loop before (then apply leaves it alone) or by apply. */
    bool is_refused_before;
    struct refusal refusal; /* texts in the arena or static */
};

struct submission {
    struct arena *arena;
    enum submission_kind kind;
    bool is_batch;
    bool is_strict;          /* all or nothing */
    struct catalog *catalog; /* own reference */
    const struct catalog_type *type;
    uint32_t api_key;
    int64_t usage_ms; /* the counted request's row, see limiter_row_ms; 0: counted already */
    struct precondition precondition;
    struct item *items;
    size_t item_count;

    bool has_idempotency_key;
    uint8_t idempotency_name[SHA256_BYTES];
    uint8_t fingerprint[SHA256_BYTES];
    char request_id[TYPEID_TEXT_BYTES];

    /* With an idempotency key the answer is rendered in the transaction that keeps it; otherwise by
     * the loop. */
    enum { ANSWER_FROM_ITEMS, ANSWER_RENDERED, ANSWER_REPLAYED, ANSWER_MISMATCH } answer;
    struct rendered {
        int status;
        struct bytes content_type;
        struct bytes etag; /* empty: none */
        struct bytes body;
    } rendered;
};
