/*
 * hardening: the process gives up what a server never needs, so that whoever takes it over gains
 * little: no programs, no other processes, no files but its own, no new privileges.
 *
 *     hardening_apply(&settings);     once, after start-up opened what it opens, before any thread
 *
 * Nothing here is a setting. What the kernel or the build lacks is logged as a warning and left
 * out: the rest of the program does not rely on it. What is denied fails with an error and never
 * kills, so that a wrong guess here costs a feature and not the server.
 */
#pragma once

#include "base/err.h"
#include "base/status.h"
#include "ingest/settings.h"

/* The leak checker of sanitizer builds attaches to its own process from another one, and reads the
 * executable and its suppressions, wherever they are, at the end: those builds keep what that
 * needs. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARDENING_FOR_SANITIZERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HARDENING_FOR_SANITIZERS 1
#endif
#endif

/* Takes effect for the calling thread and all that it makes afterwards, for good. */
void hardening_apply(const struct settings *settings);

/* The parts, for tests. STATUS_NOT_FOUND: this kernel or this build has none; STATUS_IO: refused;
 * `err` says what. */
MUST_CHECK enum status syscall_filter_apply(struct err *err);
/* `ret_version`: of the kernel's Landlock. */
MUST_CHECK enum status file_fence_apply(const struct settings *settings, int *ret_version,
                                        struct err *err);
