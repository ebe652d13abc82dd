/*
 * status: the words. To add a code, add its line here; the switch has no default, so that the
 * compiler asks for it.
 */
#include "base/status.h"

const char *status_text(enum status s)
{
    switch (s) {
    case STATUS_OK:
        return "fine";
    case STATUS_NOT_FOUND:
        return "not found";
    case STATUS_EXISTS:
        return "exists already";
    case STATUS_INVALID:
        return "invalid";
    case STATUS_DENIED:
        return "denied";
    case STATUS_LIMIT:
        return "over a limit";
    case STATUS_MISMATCH:
        return "does not match";
    case STATUS_END:
        return "no more items";
    case STATUS_IO:
        return "input/output error";
    case STATUS_NO_SPACE:
        return "no space left";
    case STATUS_CORRUPT:
        return "stored data is corrupt";
    case STATUS_NO_MEMORY:
        return "out of memory";
    case STATUS_MAP_FULL:
        return "the store's map is full";
    case STATUS_VERSION:
        return "the store has a newer format";
    case STATUS_BUSY:
        return "in use by another process";
    }
    return "unknown status";
}
