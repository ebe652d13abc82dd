/*
 * streams: standard input, output and error as a program that opens other files needs them.
 */
#pragma once

/* Where one of the three is closed, the next file opened would get its number, and what is printed
 * would land in it: a log line in the store. Opens /dev/null in their place, for
 * reading, so that writing still fails. First thing in main. */
void streams_keep_standard(void);
