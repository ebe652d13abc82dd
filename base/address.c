/*
 * address: one form for both families, so that one comparison serves both. The families do not
 * mix all the same: a range written in IPv6 never contains an IPv4 address, or "::/0" on an
 * allow-list would let in more than its author meant.
 */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define V4_BITS 96U /* length of the prefix ::ffff:0:0 */

static const uint8_t V4_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_v4(const struct address *a)
{
    return memcmp(a->bytes, V4_PREFIX, sizeof V4_PREFIX) == 0;
}

static void address_set_v4(struct address *a, const void *four_bytes)
{
    memcpy(a->bytes, V4_PREFIX, sizeof V4_PREFIX);
    memcpy(a->bytes + sizeof V4_PREFIX, four_bytes, 4);
}

enum status address_parse(struct bytes text, struct address *ret_address)
{
    char terminated[ADDRESS_TEXT_BYTES];
    struct in_addr v4;
    struct in6_addr v6;

    if (text.len == 0 || text.len >= sizeof terminated || memchr(text.data, 0, text.len))
        return STATUS_INVALID;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = '\0';
    if (inet_pton(AF_INET, terminated, &v4) == 1) {
        address_set_v4(ret_address, &v4);
        return STATUS_OK;
    }
    if (inet_pton(AF_INET6, terminated, &v6) == 1) {
        memcpy(ret_address->bytes, &v6, sizeof ret_address->bytes);
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

enum status address_of_sockaddr(const struct sockaddr *sa, struct address *ret_address,
                                uint16_t *ret_port)
{
    uint16_t port;

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
        address_set_v4(ret_address, &v4->sin_addr);
        port = ntohs(v4->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
        memcpy(ret_address->bytes, &v6->sin6_addr, sizeof ret_address->bytes);
        port = ntohs(v6->sin6_port);
    } else {
        return STATUS_INVALID;
    }
    if (ret_port)
        *ret_port = port;
    return STATUS_OK;
}

void address_format(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    /* Neither can fail: the family is known and the room is INET6_ADDRSTRLEN. */
    if (address_is_v4(a))
        inet_ntop(AF_INET, a->bytes + sizeof V4_PREFIX, out, ADDRESS_TEXT_BYTES);
    else
        inet_ntop(AF_INET6, a->bytes, out, ADDRESS_TEXT_BYTES);
}

/* A decimal number without sign or superfluous zeros, at most `max`. -1: it is none. */
static int32_t number_parse(struct bytes text, int32_t max)
{
    int32_t number = 0;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    return number <= max ? number : -1;
}

static bool has_host_bits(const struct cidr *cidr)
{
    for (unsigned bit = cidr->prefix_bits; bit < 128; bit++) {
        if (cidr->base.bytes[bit / 8] & (0x80U >> bit % 8))
            return true;
    }
    return false;
}

enum status cidr_parse(struct bytes text, struct cidr *ret_cidr)
{
    const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    size_t address_len = slash ? (size_t)(slash - text.data) : text.len;
    bool is_v4_text = text.len && memchr(text.data, ':', address_len) == NULL;
    int32_t bits = is_v4_text ? 32 : 128;
    struct cidr cidr = {0};

    if (address_parse(bytes_of(text.data, address_len), &cidr.base) != STATUS_OK)
        return STATUS_INVALID;
    if (slash)
        bits = number_parse(bytes_of(slash + 1, text.len - address_len - 1), bits);
    if (bits < 0)
        return STATUS_INVALID;
    cidr.prefix_bits = (uint8_t)((unsigned)bits + (is_v4_text ? V4_BITS : 0));
    if (has_host_bits(&cidr))
        return STATUS_INVALID;
    *ret_cidr = cidr;
    return STATUS_OK;
}

static bool cidr_is_v4(const struct cidr *cidr)
{
    return cidr->prefix_bits >= V4_BITS && address_is_v4(&cidr->base);
}

void cidr_format(const struct cidr *cidr, char out[ADDRESS_TEXT_BYTES + 4])
{
    unsigned skipped_bits = cidr_is_v4(cidr) ? V4_BITS : 0;
    char text[ADDRESS_TEXT_BYTES];

    address_format(&cidr->base, text);
    snprintf(out, ADDRESS_TEXT_BYTES + 4, "%s/%u", text, cidr->prefix_bits - skipped_bits);
}

bool cidr_contains(const struct cidr *cidr, const struct address *a)
{
    unsigned whole = cidr->prefix_bits / 8;
    unsigned rest = cidr->prefix_bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    if (address_is_v4(a) != cidr_is_v4(cidr))
        return false;
    if (memcmp(cidr->base.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((cidr->base.bytes[whole] ^ a->bytes[whole]) & mask) == 0;
}

bool cidr_list_contains(const struct cidr *list, size_t count, const struct address *a)
{
    for (size_t i = 0; i < count; i++) {
        if (cidr_contains(&list[i], a))
            return true;
    }
    return false;
}

static void sockaddr_set(const struct address *a, bool is_v4, uint16_t port,
                         struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
    memset(ret_address, 0, sizeof *ret_address);
    if (is_v4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, a->bytes + sizeof V4_PREFIX, 4);
        *ret_len = sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, a->bytes, sizeof a->bytes);
        *ret_len = sizeof *v6;
    }
}

enum status host_port_parse(struct bytes text, struct sockaddr_storage *ret_address,
                            socklen_t *ret_len)
{
    const uint8_t *colon = text.len ? memrchr(text.data, ':', text.len) : NULL;
    struct bytes host, port_text;
    struct address address;
    bool is_bracketed;
    int32_t port;

    if (colon == NULL)
        return STATUS_INVALID;
    host = bytes_of(text.data, (size_t)(colon - text.data));
    port_text = bytes_of(colon + 1, text.len - host.len - 1);
    port = number_parse(port_text, UINT16_MAX);
    if (port < 0)
        return STATUS_INVALID;
    if (host.len == 0)
        host = bytes_of_str("0.0.0.0");

    /* Brackets tell the families apart: "::1:80" would be guesswork. */
    is_bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (is_bracketed)
        host = bytes_of(host.data + 1, host.len - 2);
    if (is_bracketed != (memchr(host.data, ':', host.len) != NULL))
        return STATUS_INVALID;
    if (address_parse(host, &address) != STATUS_OK)
        return STATUS_INVALID;
    sockaddr_set(&address, !is_bracketed, (uint16_t)port, ret_address, ret_len);
    return STATUS_OK;
}

void host_port_format(const struct sockaddr *sa, char out[64])
{
    char text[ADDRESS_TEXT_BYTES];
    struct address address;
    uint16_t port;

    if (address_of_sockaddr(sa, &address, &port) != STATUS_OK) {
        snprintf(out, 64, "%s", sa->sa_family == AF_UNIX ? "unix" : "unknown");
        return;
    }
    if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, address.bytes, text, sizeof text);
        snprintf(out, 64, "[%s]:%u", text, port);
    } else {
        address_format(&address, text);
        snprintf(out, 64, "%s:%u", text, port);
    }
}
