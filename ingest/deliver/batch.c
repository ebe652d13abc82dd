/*
 * Happy path: outbox_finish logs the attempt and frees the next delivery of the lane; endpoint_note
 * keeps since when the endpoint fails. Both say nothing about a delivery that is no longer pending
 * (its endpoint was deleted, its record erased): then there is nothing to do.
 *
 * A delivery that failed for good raises `delivery.failed`, unless its event is itself one of those
 * that Postern raises about its deliveries: one dead endpoint that subscribes to everything would
 * keep itself busy for ever.
 *
 * `apply` may run again for the same batch, so it only reads from it.
 */
#include "ingest/deliver/batch.h"

#include "base/cleanup.h"
#include "ingest/raise.h"
#include "schemas/json_write.h"
#include "storage/fault.h"

#include <stdio.h>

#define EVENT_ID_PREFIX "evt"
#define REASON_GONE "410 Gone"
#define REASON_GIVEN_UP "no success for 5 days"

static void put_id_member(struct buf *out, const char *lead, const char *prefix,
                          const struct uuid *id)
{
    buf_put_str(out, lead);
    buf_put_char(out, '"');
    typeid_put(out, prefix, id);
    buf_put_char(out, '"');
}

static bool is_own_event(struct bytes name)
{
    return bytes_equal_str(name, EVENT_DELIVERY_FAILED) ||
           bytes_equal_str(name, EVENT_ENDPOINT_DISABLED) ||
           bytes_equal_str(name, EVENT_WEBHOOK_TEST);
}

static void raise_with(struct txn *txn, struct subscriptions *subscriptions, const char *name,
                       const struct buf *data)
{
    if (data->status ==
        STATUS_OK) /* no memory for a few hundred bytes: the fact is logged anyway */
        raise_event(txn, subscriptions, name, buf_bytes(data));
}

static void raise_delivery_failed(const struct batch *batch, const struct transfer *transfer,
                                  const struct event *event, struct txn *txn)
{
    const struct post *post = &transfer->post;
    CLEANUP(buf_fini) struct buf data = {0};
    put_id_member(&data, "{\"delivery\":", DELIVERY_ID_PREFIX, &transfer->delivery.id);
    buf_put_str(&data, ",\"event\":");
    json_put_string(&data, event->name);
    put_id_member(&data, ",\"eventId\":", EVENT_ID_PREFIX, &event->id);
    put_id_member(&data, ",\"endpoint\":", ENDPOINT_ID_PREFIX, &transfer->target->id);
    buf_put_str(&data, ",\"url\":");
    json_put_str(&data, transfer->url);
    buf_printf(&data, ",\"attempts\":%u", (unsigned)transfer->delivery.attempt_count + 1);
    if (post->http_status)
        buf_printf(&data, ",\"lastStatus\":%u", (unsigned)post->http_status);
    else
        buf_put_str(&data, ",\"lastStatus\":null");
    buf_put_str(&data, ",\"lastError\":");
    if (post->error[0])
        json_put_str(&data, post->error);
    else
        buf_put_str(&data, "null");
    buf_put_char(&data, '}');
    raise_with(txn, batch->subscriptions, EVENT_DELIVERY_FAILED, &data);
}

static void disable_endpoint(const struct batch *batch, struct endpoint *endpoint,
                             const char *reason, struct txn *txn)
{
    endpoint->state = ENDPOINT_DISABLED;
    snprintf(endpoint->disabled_reason, sizeof endpoint->disabled_reason, "%s", reason);
    endpoint_put(txn, endpoint);
    CLEANUP(buf_fini) struct buf data = {0};
    put_id_member(&data, "{\"endpoint\":", ENDPOINT_ID_PREFIX, &endpoint->id);
    buf_put_str(&data, ",\"url\":");
    json_put_str(&data, endpoint->url);
    buf_put_str(&data, ",\"reason\":");
    json_put_str(&data, reason);
    buf_put_char(&data, '}');
    raise_with(txn, batch->subscriptions, EVENT_ENDPOINT_DISABLED, &data);
}

static void apply_failure(const struct batch *batch, const struct transfer *transfer,
                          struct txn *txn)
{
    struct event event;
    if (event_at(txn, transfer->delivery.sequence, &event) != STATUS_OK)
        return;
    if (transfer->decision.outcome == ATTEMPT_FAILED && !is_own_event(event.name))
        raise_delivery_failed(batch, transfer, &event, txn);

    struct endpoint endpoint;
    if (endpoint_at(txn, transfer->target->number, &endpoint) != STATUS_OK ||
        endpoint.state != ENDPOINT_ENABLED)
        return;
    if (transfer->decision.is_endpoint_gone)
        disable_endpoint(batch, &endpoint, REASON_GONE, txn);
    else if (schedule_is_given_up(endpoint.failing_since_ms, batch->trusted_from_ms,
                                  txn_now_ms(txn)))
        disable_endpoint(batch, &endpoint, REASON_GIVEN_UP, txn);
}

static void apply_transfer(const struct batch *batch, const struct transfer *transfer,
                           struct txn *txn)
{
    struct attempt attempt = transfer_attempt(transfer);
    if (outbox_finish(txn, &attempt, transfer->decision.outcome, transfer->decision.retry_at_ms) !=
        STATUS_OK)
        return;
    if (transfer->is_local)
        return; /* nothing was sent: it says nothing about the endpoint */
    bool is_success = transfer->decision.outcome == ATTEMPT_DELIVERED;
    endpoint_note(txn, transfer->target->number, is_success, txn_now_ms(txn));
    if (!is_success)
        apply_failure(batch, transfer, txn);
}

static void batch_apply(struct work *work, struct txn *txn)
{
    const struct batch *batch = (const struct batch *)work;
    for (const struct transfer *t = batch->transfers; t; t = t->next)
        apply_transfer(batch, t, txn);
    fault_point("outcomes_applied");
}

static void batch_done(struct work *work, enum status status)
{
    struct batch *batch = (struct batch *)work;
    batch->status = status;
    if (status != STATUS_OK)
        subscriptions_forget(batch->subscriptions);
    fault_point("outcomes_committed");
    batch->settled(batch);
}

void batch_init(struct batch *batch, struct subscriptions *subscriptions, int64_t trusted_from_ms,
                void (*settled)(struct batch *batch))
{
    *batch = (struct batch){.work = {.apply = batch_apply, .done = batch_done},
                            .subscriptions = subscriptions,
                            .trusted_from_ms = trusted_from_ms,
                            .settled = settled};
}
