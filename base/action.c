/* action: the words of the three numbers. */
#include "base/action.h"

#include "base/must.h"

const char *record_action_text(enum record_action action)
{
    switch (action) {
    case ACTION_CREATED:
        return "created";
    case ACTION_UPDATED:
        return "updated";
    case ACTION_DELETED:
        return "deleted";
    }
    must_failed("a known record action", __FILE__, __LINE__, __func__);
}
