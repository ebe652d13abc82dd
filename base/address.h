/*
 * address: IP addresses of both families as 16 bytes (IPv4 as ::ffff:a.b.c.d), CIDR ranges, and
 * lists of them. Used by keys' allow-lists, the delivery guard and listeners.
 */
#pragma once

#include "base/bytes.h"

#include <sys/socket.h>

struct address {
    uint8_t bytes[16];
};

struct cidr {
    struct address base;
    uint8_t prefix_bits; /* 0 … 128, counted in the 16-byte form */
};

#define ADDRESS_TEXT_BYTES 46
bool address_is_v4(const struct address *a);
/* STATUS_INVALID: neither IPv4 nor IPv6 text. Brackets are not accepted. */
MUST_CHECK enum status address_parse(struct bytes text, struct address *ret_address);
/* STATUS_INVALID: another family. `ret_port` may be NULL. */
MUST_CHECK enum status address_of_sockaddr(const struct sockaddr *sa, struct address *ret_address,
                                           uint16_t *ret_port);
void address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES]);

/* "10.0.0.0/8", "fd00::/8", or a bare address. STATUS_INVALID: malformed, or host bits set. */
MUST_CHECK enum status cidr_parse(struct bytes text, struct cidr *ret_cidr);
void cidr_format(const struct cidr *cidr, char out[ADDRESS_TEXT_BYTES + 4]);
bool cidr_contains(const struct cidr *cidr, const struct address *a);
bool cidr_list_contains(const struct cidr *list, size_t count, const struct address *a);

/* "127.0.0.1:8443", "[::]:8443", ":8443" (all IPv4). STATUS_INVALID otherwise. */
MUST_CHECK enum status host_port_parse(struct bytes text, struct sockaddr_storage *ret_address,
                                       socklen_t *ret_len);
/* "127.0.0.1:8443" / "[::1]:8443"; `out` holds at least 64 bytes. */
void host_port_format(const struct sockaddr *sa, char out[64]);
