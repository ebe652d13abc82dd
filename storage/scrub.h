/*
 * scrub: after an erasure, remove what is left of it in the data file.
 *
 * LMDB copies a page when it changes it: the page before stays in the file until it is used again,
 * and what nothing uses of a page, its middle or what lies behind a large row, may hold anything
 * that lay in memory before. store_scrub writes zeros over all of it.
 *
 * What it cannot reach is memory: a server that runs beside it may still have pages of before in
 * its heap, and write some of their bytes into such places later. Whoever needs
 * certainty stops the server first; a backup (storage/check.h) never has any of it.
 *
 * Not for every day: it reads the whole file, and holds the writer's lock for a portion at a time
 * (some 100 ms each).
 */
#pragma once

#include "storage/store.h"

/* The calling thread has no transaction open. *ret_held: pages that a reader which began before may
 * still look at, and that were left alone; call again when it has ended. */
MUST_CHECK enum status store_scrub(struct store *store, uint64_t *ret_held);
