/*
 * thread: a signal is delivered to any thread that does not block it; the new one inherits the mask
 * that is set around its making.
 */
#include "base/thread.h"

#include "base/must.h"

#include <signal.h>

int thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
    sigset_t all, before;

    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int code = pthread_create(ret_thread, NULL, run, context);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return code;
}
