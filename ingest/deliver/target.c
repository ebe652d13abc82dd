/*
 * Design: everything that costs memory or a decryption is prepared when the endpoint changes, so
 * that an attempt only signs and copies. Reading the row again keeps the window and the place in
 * the queue: an operator who edits a description does not restart an endpoint's back-off.
 */
#include "ingest/deliver/target.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "ingest/deliver/signature.h"

#include <stdlib.h>

struct target *target_new(uint32_t number)
{
    struct target *target = calloc(1, sizeof *target);
    if (!target)
        return NULL;
    target->number = number;
    window_init(&target->window, 0, 0);
    return target;
}

static void secrets_forget(struct target *target)
{
    for (size_t i = 0; i < target->secret_count; i++) {
        secret_wipe(target->secrets[i], strlen(target->secrets[i]));
        free(target->secrets[i]);
    }
    target->secret_count = 0;
}

void target_free(struct target *target)
{
    if (!target)
        return;
    secrets_forget(target);
    free(target->url);
    free(target->header_lines);
    free(target->masked_lines);
    free(target);
}

static void secret_buf_fini(struct buf *buf)
{
    if (buf->data)
        secret_wipe(buf->data, buf->capacity);
    buf_fini(buf);
}

static enum status secrets_open(struct target *target, const struct endpoint *endpoint,
                                const struct vault *vault, struct err *err)
{
    secrets_forget(target);
    for (uint8_t slot = 0; slot < endpoint->secret_count && slot < 2; slot++) {
        CLEANUP(secret_buf_fini) struct buf secret = {0};
        enum status status = endpoint_secret_unseal(vault, endpoint, slot, &secret);
        if (status != STATUS_OK) {
            err_set(err, status == STATUS_MISMATCH ? "its secret was sealed with another master key"
                                                   : "its sealed secret is damaged");
            return status;
        }
        char *text = bytes_dup_str(buf_bytes(&secret));
        if (!text)
            return STATUS_NO_MEMORY;
        target->secrets[target->secret_count++] = text;
    }
    return STATUS_OK;
}

/* Replaces `*text` by a copy; on failure it stays. */
static enum status text_set(char **text, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return STATUS_NO_MEMORY;
    free(*text);
    *text = copy;
    return STATUS_OK;
}

static enum status header_lines_set(struct target *target, const struct endpoint *endpoint)
{
    CLEANUP(buf_fini) struct buf lines = {0}, masked = {0};
    for (size_t i = 0; i < endpoint->header_count; i++) {
        const char *name = endpoint->headers[i].name, *value = endpoint->headers[i].value;
        if (delivery_header_check(name, value, NULL) != STATUS_OK)
            continue; /* refused when it is set; a row from elsewhere must not break the framing */
        buf_printf(&lines, "%s: %s\r\n", name, value);
        buf_printf(&masked, "%s: ***\r\n", name);
    }
    enum status status = text_set(&target->header_lines, buf_str(&lines));
    return status == STATUS_OK ? text_set(&target->masked_lines, buf_str(&masked)) : status;
}

enum status target_set(struct target *target, const struct endpoint *endpoint,
                       const struct vault *vault, struct err *err)
{
    target->is_live = false;
    target->id = endpoint->id;
    target->timeout_ms = endpoint->timeout_ms;
    target->retry_count = endpoint->retry_count;
    memcpy(target->retry_s, endpoint->retry_s, sizeof target->retry_s);
    window_set(&target->window, endpoint->window_max, endpoint->rate_per_s);
    memcpy(target->dialect_header, endpoint->signature_header, sizeof target->dialect_header);

    enum status status = text_set(&target->url, endpoint->url);
    if (status == STATUS_OK)
        status = header_lines_set(target, endpoint);
    if (status == STATUS_OK)
        status = secrets_open(target, endpoint, vault, err);
    if (status == STATUS_OK)
        status = dialect_resolve(endpoint->signature, target->dialect_header,
                                 endpoint->signature_encoding, endpoint->signature_content,
                                 &target->dialect, err);
    target->is_live = status == STATUS_OK && endpoint->state == ENDPOINT_ENABLED;
    return status;
}

static void put_line(struct buf *out, const char *name, struct bytes value)
{
    buf_put_str(out, name);
    buf_put_str(out, ": ");
    buf_put_bytes(out, value);
    buf_put_str(out, "\r\n");
}

static void put_signatures(const struct target *target, const struct dress *dress, struct buf *out)
{
    struct bytes secrets[2];
    for (size_t i = 0; i < target->secret_count; i++)
        secrets[i] = bytes_of_str(target->secrets[i]);
    struct bytes id = bytes_of_str(dress->delivery);
    char hex[65];
    signature_postern(secrets[0], dress->timestamp_s, dress->body, hex);
    put_line(out, "X-Webhook-Signature", bytes_of_str(hex));
    buf_put_str(out, "webhook-signature: ");
    signature_standard(secrets, target->secret_count, id, dress->timestamp_s, dress->body, out);
    buf_put_str(out, "\r\n");
    dialect_put(&target->dialect, secrets, target->secret_count, id, dress->timestamp_s,
                dress->body, out);
}

void target_put_headers(const struct target *target, const struct dress *dress, struct buf *sent,
                        struct buf *logged)
{
    struct bytes id = bytes_of_str(dress->delivery);
    put_line(sent, "Content-Type", bytes_of_str("application/json"));
    put_line(sent, "User-Agent", bytes_of_str(dress->user_agent));
    put_line(sent, "X-Webhook-ID", id);
    put_line(sent, "X-Webhook-Event", dress->event);
    buf_printf(sent, "X-Webhook-Timestamp: %lld\r\n", (long long)dress->timestamp_s);
    buf_printf(sent, "X-Webhook-Retry: %u\r\n", (unsigned)dress->retry);
    put_line(sent, "webhook-id", id);
    buf_printf(sent, "webhook-timestamp: %lld\r\n", (long long)dress->timestamp_s);
    if (target->secret_count)
        put_signatures(target, dress, sent);
    buf_put_bytes(logged, buf_bytes(sent));
    buf_put_str(sent, target->header_lines);
    buf_put_str(logged, target->masked_lines);
}
