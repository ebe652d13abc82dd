/*
 * flight: the transfers under way, found by delivery id. A delivery that is in this table is not
 * picked again, although its `due` row stays until the outcome is stored.
 *
 * Thread: the loop's.
 */
#pragma once

#include "ingest/deliver/transfer.h"

#define FLIGHT_BUCKETS 1024

struct flight {
    struct transfer *buckets[FLIGHT_BUCKETS];
    uint32_t count;
};

void flight_add(struct flight *flight, struct transfer *transfer);
void flight_remove(struct flight *flight, struct transfer *transfer);
bool flight_has(const struct flight *flight, const struct uuid *delivery);
