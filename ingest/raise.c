/*
 * Design: the subscriptions are brought up to date here, before each match, so that an endpoint
 * which was committed before this transaction began never misses an event; that costs one read of a
 * number.
 */
#include "ingest/raise.h"

#include "storage/outbox.h"

static void enqueue(struct txn *txn, struct subscriptions *subscriptions, const struct event *event)
{
    size_t count;
    const uint32_t *endpoints = subscriptions_match(subscriptions, event->name, &count);
    for (size_t i = 0; i < count; i++)
        (void)outbox_enqueue(txn, endpoints[i], event->sequence, &event->record,
                             txn_now_ms(txn)); /* the delivery's id interests nobody here */
}

void raise_record_events(struct txn *txn, struct subscriptions *subscriptions, struct event *events,
                         size_t count)
{
    if (count == 0)
        return;
    events_append(txn, events, count);
    subscriptions_refresh(subscriptions, txn);
    for (size_t i = 0; i < count; i++)
        enqueue(txn, subscriptions, &events[i]);
}

void raise_event(struct txn *txn, struct subscriptions *subscriptions, const char *name,
                 struct bytes data)
{
    struct event event = {.time_ms = txn_now_ms(txn), .name = bytes_of_str(name), .data = data};
    raise_record_events(txn, subscriptions, &event, 1);
}
