/*
 * apply: what one submission does to the store: decide the action, number the revision, raise the
 * events, enqueue the deliveries. A function of (store, submission) inside the writer's
 * transaction; ids and times come from the transaction, so the same submissions in the same order
 * make the same store.
 *
 * Thread: the writer's.
 */
#pragma once

#include "ingest/submission.h"
#include "storage/endpoints.h"

struct applier;

/* Scratch memory for one writer thread; `subscriptions` is borrowed. NULL: no memory. */
struct applier *applier_new(struct subscriptions *subscriptions);
void applier_free(struct applier *applier);

/* After a transaction that was not committed: forget what was read in it. */
void applier_forget(struct applier *applier);

/* Was the request seen before? True: its answer, or that it differs, stands in the submission. A
 * fault sticks to the transaction. Any thread, with a transaction of its own. */
bool replay_submission(struct submission *submission, struct txn *txn);

/* May run again for the same submission after its transaction was given up. Faults stick to the
 * transaction; outcomes are written to the items. */
void apply_submission(struct applier *applier, struct submission *submission, struct txn *txn);
