/*
 * err: a message for a person, filled at the place that knows and wrapped on the way up:
 * "open store: /data: No space left on device". Used by start-up, settings and tools; the paths
 * of a request use status alone.
 *
 *     struct err err = {0};
 *     if (store_open(&store, &options, &err) != STATUS_OK)
 *         fprintf(stderr, "posternd: %s\n", err.text);
 */
#pragma once

#include <stddef.h>

struct err {
    char text[1024]; /* empty: no message; always terminated, cut when too long */
};

/* Replace the message. A NULL err is allowed: nothing happens. */
void err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "prefix: " in front of the message. A NULL err is allowed. */
void err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
