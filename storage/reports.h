/*
 * reports: what is to be reported regularly: every hour, day or week, for which record types. The
 * rows only; who makes a report and raises `report.generated` is the server.
 */
#pragma once

#include "base/clock.h"
#include "storage/store.h"

#define REPORT_ID_PREFIX "rpt"
#define REPORT_TYPES_MAX 64

enum report_every { REPORT_HOURLY = 1, REPORT_DAILY = 2, REPORT_WEEKLY = 3 };
/* "hour", "day", "week". */
const char *report_every_text(enum report_every every);
MUST_CHECK enum status report_every_parse(struct bytes text, enum report_every *ret_every);

struct report {
    struct uuid id; /* zero: new */
    enum report_every every;
    uint16_t at_minute; /* of the UTC day; hourly: of the hour (the rest is not looked at) */
    uint8_t type_count; /* none: every record type */
    char types[REPORT_TYPES_MAX][TYPE_NAME_MAX + 1];
    int64_t created_ms;
    int64_t next_due_ms; /* 0 in a new one: the first time after now */
};

/* The first time after `after_ms` that the schedule names. Weeks turn over on Monday. */
int64_t report_due_after(const struct report *report, int64_t after_ms);

/* Adds or replaces; sets id, created_ms and next_due_ms of a new one. Bumps the generation. */
void report_put(struct txn *txn, struct report *report);
/* Moves next_due_ms alone; no new generation. STATUS_NOT_FOUND. */
MUST_CHECK enum status report_postpone(struct txn *txn, const struct uuid *id, int64_t next_due_ms);
MUST_CHECK enum status report_find(struct txn *txn, const struct uuid *id,
                                   struct report *ret_report);
/* The next one after `inout_after`, oldest first; zero at the start. STATUS_END. */
MUST_CHECK enum status report_next(struct txn *txn, struct uuid *inout_after,
                                   struct report *ret_report);
MUST_CHECK enum status report_delete(struct txn *txn, const struct uuid *id);
