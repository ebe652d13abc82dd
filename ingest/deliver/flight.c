/*
 * Chains by the delivery's id: UUIDv7 ends in random bits, so the last bytes need no further
 * hashing.
 */
#include "ingest/deliver/flight.h"

#include "base/must.h"

static size_t bucket_of(const struct uuid *delivery)
{
    return get_be16(delivery->bytes + UUID_BYTES - 2) % FLIGHT_BUCKETS;
}

void flight_add(struct flight *flight, struct transfer *transfer)
{
    struct transfer **bucket = &flight->buckets[bucket_of(&transfer->delivery.id)];
    transfer->bucket_next = *bucket;
    *bucket = transfer;
    flight->count++;
}

void flight_remove(struct flight *flight, struct transfer *transfer)
{
    struct transfer **at = &flight->buckets[bucket_of(&transfer->delivery.id)];
    while (*at && *at != transfer)
        at = &(*at)->bucket_next;
    must(*at != NULL);
    *at = transfer->bucket_next;
    flight->count--;
}

bool flight_has(const struct flight *flight, const struct uuid *delivery)
{
    const struct transfer *transfer = flight->buckets[bucket_of(delivery)];
    while (transfer && uuid_compare(&transfer->delivery.id, delivery) != 0)
        transfer = transfer->bucket_next;
    return transfer != NULL;
}
