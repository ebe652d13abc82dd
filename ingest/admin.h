/*
 * admin: what the admin listener serves: /healthz (the process runs), /readyz (it takes records),
 * /metrics (Prometheus).
 */
#pragma once

#include "ingest/call.h"

void admin_serve(struct call *call, enum route_kind kind);
