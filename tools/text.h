/*
 * text: foreign text made fit for a terminal: valid UTF-8, nothing that moves the cursor, and how
 * many columns it takes. Pure.
 */
#pragma once

#include "base/bytes.h"

/* Append `in` as valid UTF-8: each byte that is not part of a character becomes U+FFFD. */
void text_put_utf8(struct buf *out, struct bytes in);
/* As above, and control characters, C1 controls and the bidirectional overrides appear as \n, \t or
 * \u001b, so that a record's content can neither drive the terminal nor hide. */
void text_put_visible(struct buf *out, struct bytes in);
/* Columns that valid UTF-8 takes on a terminal: wide characters count 2, combining marks 0. */
size_t text_width(struct bytes utf8);
/* The longest part of valid UTF-8 from its start that fits into `columns`. */
struct bytes text_fit(struct bytes utf8, size_t columns);
/* How many single-character edits are between two short words; for "did you mean". */
unsigned text_distance(const char *a, const char *b);
