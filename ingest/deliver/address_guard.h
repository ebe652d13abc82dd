/*
 * address_guard: may Postern connect there? One function asked when an endpoint is created, tested
 * and connected to (in curl's socket callback, on the very address connected to, so that rebinding
 * DNS does not help). Pure.
 */
#pragma once

#include "base/address.h"
#include "base/err.h"

/* Public unicast of either family, or within an exception. IPv4 inside IPv6 in every form (mapped,
 * compatible, 6to4, NAT64, ISATAP, Teredo) is judged by the IPv4 address too. `err` says which
 * range forbids it. STATUS_DENIED. */
MUST_CHECK enum status address_guard_check(const struct address *address, const struct cidr *allow,
                                           size_t allow_count, struct err *err);
/* The URL's form: https (http where allowed), no credentials, no fragment, a host; a literal
 * address is checked as above. Names are not resolved. STATUS_INVALID, STATUS_DENIED. */
MUST_CHECK enum status url_guard_check(struct bytes url, bool is_http_allowed,
                                       const struct cidr *allow, size_t allow_count,
                                       struct err *err);
