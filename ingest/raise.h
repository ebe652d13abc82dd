/*
 * raise: an event happens: it gets its row, and a delivery for every endpoint that wants it, in one
 * transaction. The one place where that is done.
 *
 * Thread: the writer's, in `apply`; `subscriptions` is that thread's (a tool has its own).
 */
#pragma once

#include "storage/endpoints.h"
#include "storage/events.h"

/* What Postern says about its own deliveries; a failed delivery of one of these raises nothing. */
#define EVENT_DELIVERY_FAILED "delivery.failed"
#define EVENT_ENDPOINT_DISABLED "endpoint.disabled"
#define EVENT_WEBHOOK_TEST "webhook.test"

/* The events of one revision of a record, as events_append: sequence and id are written to each.
 * Their deliveries go out in order with the record's others. Sticky faults only. */
void raise_record_events(struct txn *txn, struct subscriptions *subscriptions, struct event *events,
                         size_t count);
/* An event about no record; `data` is canonical JSON. Each delivery has a lane of its own. Sticky
 * faults only. */
void raise_event(struct txn *txn, struct subscriptions *subscriptions, const char *name,
                 struct bytes data);
