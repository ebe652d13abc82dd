/*
 * reply: what a submission's outcome looks like: the success object, the problem object, the lines
 * of a batch. Pure, so that the writer (for a kept idempotent answer) and a loop render the same
 * bytes.
 */
#pragma once

#include "ingest/submission.h"

/* Render the answer of all items into `body`. Views of `ret_rendered` point into it or are static.
 * `body` is cleared first; its status says whether it is whole, else nothing is rendered. */
void reply_render(const struct submission *submission, struct buf *body,
                  struct rendered *ret_rendered);
/* Adds the entity tag of a revision: `"3"`. */
void reply_put_etag(struct buf *out, uint32_t revision);
