/*
 * thread: threads that leave signals to the main thread.
 */
#pragma once

#include <pthread.h>

/* pthread_create with every signal blocked in the new thread, SIGPIPE too (a peer that left is a
 * status of the write): 0, or an errno. What the calling thread may do (capabilities, Landlock,
 * seccomp) the new one may do too, and no more. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context);
