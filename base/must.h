/*
 * must: abort on a broken invariant of our own, in release builds too. Never on input: whatever a
 * client, a file or the disk can cause is a status.
 */
#pragma once

#define must(condition)                                                                            \
    ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__, __func__))

_Noreturn void must_failed(const char *condition, const char *file, int line, const char *func);
