/*
 * accept: is this body acceptable as a record, and what does apply need to know of it? Strict JSON,
 * the schema, the "id" member, the record key, unknown members, and the events of a first
 * revision. The part of a write that needs no store.
 *
 * Thread: a loop's; uses its scratch memory.
 */
#pragma once

#include "ingest/app.h"
#include "ingest/submission.h"

/* `body` lies in the submission's arena (or lives as long). Fills the item; a body that is not
 * acceptable becomes a refusal with is_refused_before set. STATUS_NO_MEMORY is the only fault. */
MUST_CHECK enum status accept_body(struct app_loop *loop, struct submission *submission,
                                   struct bytes body, struct item *item);

/* PATCH: merge `patch` into the record that the item names as it is now, and accept the result. The
 * item's base_revision says what it was merged with. A record that is not there is a refusal. */
MUST_CHECK enum status accept_patch(struct app_loop *loop, struct submission *submission,
                                    struct bytes patch, struct item *item);
