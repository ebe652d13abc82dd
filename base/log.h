/*
 * log: one line an occurrence, as text for a person or as one JSON object, on standard error.
 *
 *     log_info("listening", LOG_STR("address", text), LOG_INT("connections", n));
 *
 * Any thread; a line is written with one write(2). The layer that decides logs, once; layers below
 * return a status. Never a body, a key or a secret. To add a kind of field, start at LOG_STR.
 */
#pragma once

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
    const char *name; /* snake_case; NULL ends the list */
    const char *text; /* NULL: the number */
    int64_t number;
    size_t text_len; /* of text, SIZE_MAX: terminated */
};

#define LOG_STR(name_, text_) ((struct log_field){(name_), (text_), 0, (size_t)-1})
#define LOG_BYTES(name_, view_)                                                                    \
    ((struct log_field){(name_), (const char *)(view_).data, 0, (view_).len})
#define LOG_INT(name_, number_) ((struct log_field){(name_), NULL, (int64_t)(number_), 0})

/* Before other threads exist. The defaults are text and info. */
void log_init(enum log_format format, enum log_level level);
/* Any time, any thread. */
void log_set_level(enum log_level level);
MUST_CHECK enum status log_level_parse(struct bytes text, enum log_level *ret_level);

void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define log_at(level, message, ...)                                                                \
    log_write((level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
