/*
 * receive: requests that write: POST of one record or of a batch, PATCH, DELETE. From the request's
 * headers to a submission in the writer's queue, and from the writer's word to the answer.
 *
 * Thread: the loop's of the request.
 */
#pragma once

#include "ingest/call.h"

#define BATCH_LINES_MAX 1000

void receive(struct call *call, const struct http_request *request, const struct route *route,
             const struct catalog_type *type);
