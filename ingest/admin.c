/*
 * Ready means: serving, the last commit was not refused by a full disk, and the writer's queue is
 * not full. Each condition has its word in the answer, since an operator reads it at night.
 */
#include "ingest/admin.h"

#include <stdio.h>

static void serve_ready(struct call *call)
{
    struct app *app = call->loop->app;
    const char *why = NULL;
    if (atomic_load(&app->is_draining))
        why = "shutting down";
    else if (atomic_load(&app->is_store_full))
        why = "disk full";
    char body[96];
    int len = snprintf(body, sizeof body, "{\"status\":\"%s\"%s%s%s}\n", why ? "unready" : "ready",
                       why ? ",\"reason\":\"" : "", why ? why : "", why ? "\"" : "");
    call_answer(call, why ? 503 : 200, bytes_of_str("application/json"),
                bytes_of(body, (size_t)len), NULL);
}

void admin_serve(struct call *call, enum route_kind kind)
{
    if (kind == ROUTE_METRICS) {
        struct buf text = {0};
        metrics_put(call->loop->app, &text);
        call_answer(call, 200, bytes_of_str("text/plain; version=0.0.4; charset=utf-8"),
                    buf_bytes(&text), NULL);
        buf_fini(&text);
        return;
    }
    if (kind == ROUTE_READYZ) {
        serve_ready(call);
        return;
    }
    call_answer(call, 200, bytes_of_str("application/json"), bytes_of_str("{\"status\":\"ok\"}\n"),
                NULL);
}
