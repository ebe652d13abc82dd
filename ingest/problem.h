/*
 * problem: every kind of refusal, from one table: status, title, the page that documents it, and
 * its application/problem+json (RFC 9457).
 *
 *     problem_open(&body, PROBLEM_FORBIDDEN, request_id, "the key lacks the scope
 * workorder:write"); … more members: buf_printf(&body, ",\"scope\":…"); problem_close(&body);
 *
 * Pure. To add a kind, add a row in problem.c; the page, the metrics and docs follow.
 */
#pragma once

#include "base/bytes.h"

enum problem {
    PROBLEM_INVALID_REQUEST,
    PROBLEM_INVALID_JSON,
    PROBLEM_INVALID_RECORD,
    PROBLEM_TOO_COMPLEX,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_FORBIDDEN,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_PRECONDITION_FAILED,
    PROBLEM_TOO_LARGE,
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PROBLEM_IDEMPOTENCY_MISMATCH,
    PROBLEM_BATCH_REFUSED,
    PROBLEM_RATE_LIMITED,
    PROBLEM_UNAVAILABLE,
    PROBLEM_COUNT
};

struct problem_kind {
    const char *slug; /* "invalid-json": its page is /problems/invalid-json */
    int status;
    const char *title;
    const char *advice; /* what it means and what to do, for the page */
};

extern const struct problem_kind PROBLEMS[PROBLEM_COUNT];

/* One refusal, as it is told to the client and written to the rejections log. */
struct refusal {
    enum problem problem;
    const char *detail;
    struct bytes more_members; /* rendered: ",\"errors\":[…]"; empty: none */
    const char *logged;        /* for the log, without any value of the body; NULL: the detail */
};

/* The object up to and without its closing brace. `detail` is UTF-8; `instance` the request id. */
void problem_open(struct buf *out, enum problem problem, const char *instance, const char *detail);
void problem_close(struct buf *out);

/* The page at /problems/{slug}: a plain-text explanation. STATUS_NOT_FOUND. An empty slug lists
 * all. */
MUST_CHECK enum status problem_page(struct bytes slug, struct buf *out);
