/*
 * err: a fixed buffer, so that telling of a failure cannot itself fail. A message that is too long
 * loses its end: the innermost detail is the least of what a person needs.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_set(struct err *err, const char *format, ...)
{
    char text[sizeof err->text]; /* the arguments may include err->text itself */
    va_list arguments;

    if (err == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(err->text, text, strlen(text) + 1);
}

void err_wrap(struct err *err, const char *format, ...)
{
    char prefix[sizeof err->text];
    va_list arguments;

    if (err == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    if (err->text[0] == '\0') {
        err_set(err, "%s", prefix);
        return;
    }
    err_set(err, "%s: %s", prefix, err->text);
}
