/*
 * One table row a kind of refusal. The status and the slug are public contract; the advice is what
 * an integrator reads who follows the `type` of an answer.
 */
#include "ingest/problem.h"

#include "schemas/json_write.h"

const struct problem_kind PROBLEMS[PROBLEM_COUNT] = {
    [PROBLEM_INVALID_REQUEST] =
        {"invalid-request", 400, "Invalid request",
         "A query parameter or a header has a value that Postern does not understand. The detail "
         "names it and says what would be right."},
    [PROBLEM_INVALID_JSON] =
        {"invalid-json", 400, "The body is not strict JSON",
         "The body must be one JSON value as RFC 8259 defines it: UTF-8, no duplicate member "
         "names, "
         "numbers within a double's range, nesting at most 64 levels and nothing after the value. "
         "`line`, `column` and `offset` point at the byte at fault."},
    [PROBLEM_INVALID_RECORD] =
        {"invalid-record", 400, "The record breaks its schema",
         "The body is JSON, but not an acceptable record of this type. `errors` lists every "
         "violation (at most 50): `pointer` says where in the body, `keyword` which rule, `detail` "
         "what would be right. Nothing was stored."},
    [PROBLEM_TOO_COMPLEX] =
        {"too-complex", 400, "The record takes too long to validate",
         "Checking the body against its schema used up the budget that one request has. Send "
         "smaller or flatter records."},
    [PROBLEM_UNAUTHORIZED] =
        {"unauthorized", 401, "No valid API key",
         "Send your API key as `X-API-Key: psn_…`, as `Authorization: Bearer psn_…`, or with HTTP "
         "Basic (the key's id as user name, the key as password). The same answer is given for a "
         "key that is missing, mistyped, unknown, disabled or expired."},
    [PROBLEM_FORBIDDEN] =
        {"forbidden", 403, "The API key does not allow this",
         "The key is valid, but lacks the scope that the detail names, or is used from an address "
         "that it does not allow. Ask the operator: `postern keys update`."},
    [PROBLEM_NOT_FOUND] =
        {"not-found", 404, "Not found",
         "There is no such path, record type, record or revision. A deleted record is not found "
         "either."},
    [PROBLEM_METHOD_NOT_ALLOWED] =
        {"method-not-allowed", 405, "Method not allowed",
         "The path exists, but not with this method; `Allow` lists those that do."},
    [PROBLEM_PRECONDITION_FAILED] =
        {"precondition-failed", 412, "The record has changed",
         "`If-Match` named a revision that is not the current one (or `If-None-Match: *` found a "
         "record). Read the record again, apply your change and send it with the new `ETag`."},
    [PROBLEM_TOO_LARGE] =
        {"too-large", 413, "The body is too large",
         "The body is over the limit that the detail names. Send a smaller record or a smaller "
         "batch, or ask the operator to raise `--max-body`."},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] =
        {"unsupported-media-type", 415, "Unsupported content type",
         "Send `Content-Type: application/json` (or another type ending in `+json`), uncompressed. "
         "A batch is `application/x-ndjson` and only POSTed to a record type's path."},
    [PROBLEM_IDEMPOTENCY_MISMATCH] =
        {"idempotency-mismatch", 422, "The Idempotency-Key belongs to another request",
         "This key was used within the last 24 hours with another method, path or body. Use a new "
         "key for a new request; repeat a request unchanged to get its first answer again."},
    [PROBLEM_BATCH_REFUSED] =
        {"batch-refused", 424, "Another line of the batch was refused",
         "The batch was sent with `Prefer: handling=strict`: all or nothing. This line is fine, "
         "but "
         "another one is not, so nothing was stored. Mend the refused lines and send all again."},
    [PROBLEM_RATE_LIMITED] =
        {"rate-limited", 429, "Too many requests",
         "The API key (or, for failed authentication, the address) has used up a window that "
         "`violated-policies` names. Wait `Retry-After` seconds; the request then gets through."},
    [PROBLEM_UNAVAILABLE] =
        {"unavailable", 503, "Not accepted now",
         "The server cannot take the request now: it is shutting down, its disk is full, or too "
         "many requests are waiting. Nothing was stored. Send it again after `Retry-After` "
         "seconds."},
};

void problem_open(struct buf *out, enum problem problem, const char *instance, const char *detail)
{
    const struct problem_kind *kind = &PROBLEMS[problem];
    buf_put_str(out, "{\"type\":\"/problems/");
    buf_put_str(out, kind->slug);
    buf_put_str(out, "\",\"title\":");
    json_put_str(out, kind->title);
    buf_put_str(out, ",\"status\":");
    buf_put_decimal(out, (uint64_t)kind->status);
    buf_put_str(out, ",\"detail\":");
    json_put_str(out, detail);
    buf_put_str(out, ",\"instance\":");
    json_put_str(out, instance);
}

void problem_close(struct buf *out)
{
    buf_put_char(out, '}');
}

enum status problem_page(struct bytes slug, struct buf *out)
{
    for (size_t i = 0; i < PROBLEM_COUNT; i++) {
        const struct problem_kind *kind = &PROBLEMS[i];
        if (slug.len == 0) {
            buf_printf(out, "/problems/%s (%d): %s\n", kind->slug, kind->status, kind->title);
        } else if (bytes_equal_str(slug, kind->slug)) {
            buf_printf(out, "%s (HTTP status %d)\n\n%s\n", kind->title, kind->status, kind->advice);
            return STATUS_OK;
        }
    }
    return slug.len == 0 ? STATUS_OK : STATUS_NOT_FOUND;
}
