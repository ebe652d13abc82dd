/*
 * tally: what a loop writes down once a second, beside the accepted path: counted requests that
 * stored nothing, when keys were last used, how much was accepted from and refused to each key, and
 * refusals. Bounded: beyond TALLY_REJECTIONS_MAX
 * refusals a flush the surplus is only counted, so that an attacker fills no disk.
 *
 * Threads: a loop's own. A flush hands everything to the writer.
 */
#pragma once

#include "base/address.h"
#include "base/bytes.h"

struct tally;
struct writer;

#define TALLY_REJECTIONS_MAX 512 /* a flush and loop, of authenticated senders */
#define TALLY_ANONYMOUS_MAX 32   /* a flush and loop, without a valid key */

struct tally *tally_new(void); /* NULL: no memory */
void tally_free(struct tally *tally);
/* A request of that key counts for the window row `row_ms`. */
void tally_request(struct tally *tally, uint32_t api_key, int64_t row_ms);
void tally_used(struct tally *tally, uint32_t api_key, int64_t at_ms);
/* Records accepted from that key. */
void tally_accept(struct tally *tally, uint32_t api_key, uint32_t records);
struct tally_rejection {
    int64_t at_ms;
    uint32_t api_key; /* 0: not authenticated */
    int http_status;
    const struct address *peer;
    const char *method, *route, *reason;
};
void tally_reject(struct tally *tally, const struct tally_rejection *rejection);
/* Hand over what was gathered, if a second has passed since the last time or `is_last`. */
void tally_flush(struct tally *tally, struct writer *writer, int64_t now_ms, bool is_last);
