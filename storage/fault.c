/*
 * fault: one countdown for the process. The operations of a store run on few threads and a test
 * arms it around one scenario, so that an atomic counter is all that is needed.
 */
#include "storage/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_uint countdown; /* 0: not armed */
static atomic_int armed_status;
static atomic_bool has_fired;

void fault_arm(unsigned nth, enum status status)
{
    atomic_store(&armed_status, status);
    atomic_store(&has_fired, false);
    atomic_store(&countdown, nth);
}

bool fault_disarm(void)
{
    atomic_store(&countdown, 0);
    return atomic_exchange(&has_fired, false);
}

enum status fault_here(void)
{
    if (atomic_load_explicit(&countdown, memory_order_relaxed) == 0)
        return STATUS_OK;
    if (atomic_fetch_sub(&countdown, 1) != 1)
        return STATUS_OK;
    atomic_store(&has_fired, true);
    return (enum status)atomic_load(&armed_status);
}

#ifdef POSTERN_FAULTS
/* SIGKILL and not abort(): no handler, no flushing, no destructor runs, as when the power goes. */
void fault_point(const char *name)
{
    static atomic_uint passages;
    const char *wanted = getenv("POSTERN_FAULT_POINT");
    size_t name_len = strlen(name);
    unsigned nth = 1;

    if (wanted == NULL || strncmp(wanted, name, name_len) != 0)
        return;
    if (wanted[name_len] == ':')
        nth = (unsigned)strtoul(wanted + name_len + 1, NULL, 10);
    else if (wanted[name_len] != '\0')
        return;
    if (atomic_fetch_add(&passages, 1) + 1 == nth)
        (void)kill(getpid(), SIGKILL); /* nothing to do if it fails: the test sees that we live */
}

size_t fault_map_bytes(size_t wanted, size_t tight)
{
    return getenv("POSTERN_FAULT_TIGHT_MAP") == NULL ? wanted : tight;
}
#endif
