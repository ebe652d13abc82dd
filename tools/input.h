/*
 * input: a whole file, or standard input for "-".
 */
#pragma once

#include "base/bytes.h"

#define INPUT_BYTES_MAX (64 * 1024 * 1024)

/* Appends to `out`. Complains and answers FAILED where it cannot be read or is too long. */
MUST_CHECK int input_read(const char *path, struct buf *out);
