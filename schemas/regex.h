/*
 * regex: regular expressions as ECMA-262 (with the `u` flag) means them, run by PCRE2.
 *
 * The pattern is parsed and translated, not handed on: \d and \w are ASCII, \s is the ECMAScript
 * set, `.` stops at ECMAScript's line terminators, `$` matches at the very end only, \uXXXX, \u{…},
 * \cX and \p{…} work, and syntax that only PCRE has is an error. Matching is a search: a pattern is
 * not anchored unless it says so.
 *
 * Threads: a compiled regex is immutable and shared; a regex_run is one thread's scratch memory.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#define REGEX_PATTERN_BYTES_MAX 65536

struct regex;
struct regex_run;

/* STATUS_INVALID: not a regular expression; the message says what is wrong and where. */
MUST_CHECK enum status regex_new(struct bytes pattern, struct regex **ret_regex, struct err *err);
void regex_free(struct regex *regex); /* NULL allowed */
/* Is it a regular expression? Translates only; STATUS_NO_MEMORY counts as no. */
bool regex_is_valid(struct bytes pattern);

struct regex_run *regex_run_new(void);      /* NULL: no memory */
void regex_run_free(struct regex_run *run); /* NULL allowed */

/* STATUS_OK: found. STATUS_NOT_FOUND. STATUS_LIMIT: gave up after too much backtracking.
 * `text` is valid UTF-8. */
MUST_CHECK enum status regex_match(const struct regex *regex, struct regex_run *run,
                                   struct bytes text);
