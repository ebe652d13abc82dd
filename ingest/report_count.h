/*
 * report_count: what happened in a period, counted from the store, as the JSON of a report record.
 *
 * Reads in transactions of at most COUNT_STEP rows, so that no reader pins pages for long. Any
 * thread.
 */
#pragma once

#include "storage/reports.h"

/* Counts [from_ms, until_ms) for the report's types and appends the record's JSON. Faults. */
MUST_CHECK enum status report_count(struct store *store, const struct report *report,
                                    int64_t from_ms, int64_t until_ms, struct buf *out);
