/*
 * A transfer owns copies of what its attempt said, as the endpoint may change while it runs, and
 * what was said goes into the log.
 */
#include "ingest/deliver/transfer.h"

#include <stdlib.h>

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    free(transfer->url);
    buf_fini(&transfer->sent_headers);
    buf_fini(&transfer->logged_headers);
    buf_fini(&transfer->body);
    free(transfer);
}

struct attempt transfer_attempt(const struct transfer *transfer)
{
    const struct post *post = &transfer->post;
    struct attempt attempt = {
        .delivery = transfer->delivery.id,
        .at_ms = transfer->started_wall_ms,
        .duration_ms = transfer->duration_ms,
        .http_status = post->http_status,
        .url = bytes_of_str(transfer->url),
        .address = bytes_of_str(post->address),
        .error = bytes_of_str(post->error),
        .request_headers = buf_bytes(&transfer->logged_headers),
        .response_body = bytes_of(post->response, post->response_bytes),
    };
    memcpy(attempt.payload_hash, transfer->payload_hash, SHA256_BYTES);
    return attempt;
}
