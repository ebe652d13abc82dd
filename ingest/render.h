/*
 * render: the body of a stored event, as receivers get it (contract section 4), from the revision
 * that the event names. Also for `GET /api/events` and the tool.
 *
 * Not here: the form of the body (schemas/change.h).
 * Threads: a renderer is scratch memory of one thread.
 */
#pragma once

#include "schemas/json.h"
#include "storage/events.h"

struct renderer {
    struct json_doc current, previous;
};
void renderer_fini(struct renderer *renderer);

/* Appends the body. STATUS_NOT_FOUND: the content was erased. STATUS_CORRUPT: a row that the event
 * names is missing or does not scan. Other faults. On failure `out` is as it was. */
MUST_CHECK enum status render_event(struct renderer *renderer, struct txn *txn,
                                    const struct event *event, struct buf *out);
