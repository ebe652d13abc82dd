/*
 * Design: an address is good if an exception of the operator covers it, or if no row of the table
 * below forbids it and every IPv4 address that is embedded in it is good as well. Of IPv6 only the
 * global unicast block 2000::/3 and NAT64's prefix are not forbidden from the start, so that a
 * block which IANA gives out later is forbidden until someone has thought about it.
 *
 * URLs are taken apart by libcurl's own parser: a second parser would one day read another host
 * out of the same text than the one that is then connected to. It also brings "0x7f.1", "127.1"
 * and "2130706433" into the form that is checked here.
 *
 * To forbid another range, add its row; the unit test has one line per row.
 */
#include "ingest/deliver/address_guard.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "storage/endpoints.h"

#include <curl/curl.h>
#include <strings.h>

/* IANA's special-purpose registries (RFC 6890 and its updates), what is not globally reachable. */
static const struct forbidden {
    const char *range;
    const char *what;
} FORBIDDEN[] = {
    {"0.0.0.0/8", "this network"},
    {"10.0.0.0/8", "private network"},
    {"100.64.0.0/10", "carrier-grade NAT"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local, cloud metadata"},
    {"172.16.0.0/12", "private network"},
    {"192.0.0.0/24", "protocol assignments"},
    {"192.0.2.0/24", "documentation"},
    {"192.88.99.0/24", "6to4 relays"},
    {"192.168.0.0/16", "private network"},
    {"198.18.0.0/15", "benchmarking"},
    {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved, broadcast"},
    {"::/128", "unspecified address"},
    {"::1/128", "loopback"},
    {"fc00::/7", "unique local addresses"},
    {"fe80::/10", "link-local"},
    {"fec0::/10", "site-local"},
    {"ff00::/8", "multicast"},
    {"2001::/23", "protocol assignments, Teredo"},
    {"2001:db8::/32", "documentation"},
    {"3fff::/20", "documentation"},
};

/* What IPv6 may be at all: IANA's global unicast block, and NAT64 (RFC 6052). */
static const char *const GLOBAL[] = {"2000::/3", "64:ff9b::/96"};

static bool in_range(const char *range, const struct address *address)
{
    struct cidr cidr;
    must(cidr_parse(bytes_of_str(range), &cidr) == STATUS_OK);
    return cidr_contains(&cidr, address);
}

static struct address address_of_v4(const uint8_t *four, uint8_t mask)
{
    struct address v4 = {.bytes = {[10] = 0xff, [11] = 0xff}};
    for (size_t i = 0; i < 4; i++)
        v4.bytes[12 + i] = four[i] ^ mask;
    return v4;
}

#define EMBEDDED_MAX 3

/* The IPv4 addresses that packets to this IPv6 address may end up at. */
static size_t embedded_v4(const struct address *a, struct address ret[EMBEDDED_MAX])
{
    static const uint8_t ZERO[12] = {0};
    const uint8_t *b = a->bytes;
    size_t count = 0;
    if (memcmp(b, ZERO, 12) == 0 && !in_range("::/127", a)) /* compatible, RFC 4291 2.5.5.1 */
        ret[count++] = address_of_v4(b + 12, 0);
    if (in_range("64:ff9b::/96", a)) /* NAT64, RFC 6052 */
        ret[count++] = address_of_v4(b + 12, 0);
    if (in_range("2002::/16", a)) /* 6to4, RFC 3056 */
        ret[count++] = address_of_v4(b + 2, 0);
    if (in_range("2001::/32", a)) { /* Teredo, RFC 4380: server, and the client inverted */
        ret[count++] = address_of_v4(b + 4, 0);
        ret[count++] = address_of_v4(b + 12, 0xff);
    }
    if ((b[8] & 0xfd) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe) /* ISATAP, RFC 5214 */
        ret[count++] = address_of_v4(b + 12, 0);
    return count;
}

static const char *forbidden_as(const struct address *a)
{
    for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i++)
        if (in_range(FORBIDDEN[i].range, a))
            return FORBIDDEN[i].what;
    if (address_is_v4(a) || in_range(GLOBAL[0], a) || in_range(GLOBAL[1], a))
        return NULL;
    return "not global unicast";
}

enum status address_guard_check(const struct address *address, const struct cidr *allow,
                                size_t allow_count, struct err *err)
{
    if (cidr_list_contains(allow, allow_count, address))
        return STATUS_OK;
    const char *what = forbidden_as(address);
    if (what) {
        char text[ADDRESS_TEXT_BYTES];
        address_format(address, text);
        err_set(err, "the address %s is not allowed (%s)", text, what);
        return STATUS_DENIED;
    }
    if (address_is_v4(address))
        return STATUS_OK;

    struct address embedded[EMBEDDED_MAX];
    size_t count = embedded_v4(address, embedded);
    for (size_t i = 0; i < count; i++)
        if (address_guard_check(&embedded[i], allow, allow_count, err) != STATUS_OK) {
            char text[ADDRESS_TEXT_BYTES];
            address_format(address, text);
            err_wrap(err, "%s leads to IPv4", text);
            return STATUS_DENIED;
        }
    return STATUS_OK;
}

static void url_freep(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void curl_textp(char **text)
{
    curl_free(*text);
}

/* "localhost" and all below it are the loopback address (RFC 6761 section 6.3), whatever the
 * resolver would say. */
static bool is_localhost(const char *host)
{
    size_t len = strlen(host);
    if (len && host[len - 1] == '.')
        len--;
    const size_t name = strlen("localhost");
    if (len < name || strncasecmp(host + len - name, "localhost", name) != 0)
        return false;
    return len == name || host[len - name - 1] == '.';
}

static enum status host_check(const char *host, const struct cidr *allow, size_t allow_count,
                              struct err *err)
{
    static const struct address LOOPBACK = {.bytes = {[10] = 0xff, [11] = 0xff, 127, [15] = 1}};
    if (is_localhost(host))
        return address_guard_check(&LOOPBACK, allow, allow_count, err);
    struct bytes text = bytes_of_str(host);
    if (text.len > 2 && text.data[0] == '[')
        text = bytes_of(text.data + 1, text.len - 2);
    struct address address;
    if (address_parse(text, &address) != STATUS_OK)
        return STATUS_OK; /* a name: judged when it is connected to */
    return address_guard_check(&address, allow, allow_count, err);
}

static enum status refuse(struct err *err, enum status status, const char *why)
{
    err_set(err, "%s", why);
    return status;
}

/* Control characters, spaces and backslashes have been read in more than one way too often. */
static bool has_bad_byte(struct bytes url)
{
    for (size_t i = 0; i < url.len; i++)
        if (url.data[i] <= ' ' || url.data[i] == 0x7f || url.data[i] == '\\')
            return true;
    return false;
}

/* libcurl also takes one slash or three after the scheme; nobody else reads that the same way. */
static bool has_two_slashes(struct bytes url)
{
    const uint8_t *colon = memchr(url.data, ':', url.len);
    const uint8_t *end = url.data + url.len;
    return colon && end - colon > 3 && colon[1] == '/' && colon[2] == '/' && colon[3] != '/';
}

enum status url_guard_check(struct bytes url, bool is_http_allowed, const struct cidr *allow,
                            size_t allow_count, struct err *err)
{
    if (url.len == 0 || url.len > ENDPOINT_URL_MAX)
        return refuse(err, STATUS_INVALID, url.len ? "the URL is too long" : "the URL is empty");
    if (has_bad_byte(url))
        return refuse(err, STATUS_INVALID, "the URL has a space, control character or backslash");

    if (!has_two_slashes(url))
        return refuse(err, STATUS_INVALID, "the URL does not begin with https:// and a host");

    CLEANUP(freep) char *text = bytes_dup_str(url);
    CLEANUP(url_freep) CURLU *parsed = curl_url();
    if (!text || !parsed)
        return STATUS_NO_MEMORY;
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    if (code != CURLUE_OK)
        return refuse(err, STATUS_INVALID, curl_url_strerror(code));

    CLEANUP(curl_textp)
    char *scheme = NULL, *user = NULL, *password = NULL, *fragment = NULL, *zone = NULL,
         *host = NULL, *port = NULL;
    (void)curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
    (void)curl_url_get(parsed, CURLUPART_USER, &user, 0);
    (void)curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0);
    (void)curl_url_get(parsed, CURLUPART_FRAGMENT, &fragment, 0);
    (void)curl_url_get(parsed, CURLUPART_ZONEID, &zone, 0);
    (void)curl_url_get(parsed, CURLUPART_HOST, &host, 0);
    (void)curl_url_get(parsed, CURLUPART_PORT, &port, 0);
    bool is_http = scheme && strcmp(scheme, "http") == 0;
    if (!is_http && !(scheme && strcmp(scheme, "https") == 0))
        return refuse(err, STATUS_INVALID, "the URL's scheme is not https");
    if (is_http && !is_http_allowed)
        return refuse(err, STATUS_DENIED, "http is not allowed, only https");
    if (user || password)
        return refuse(err, STATUS_INVALID, "the URL has credentials");
    if (fragment || memchr(url.data, '#', url.len))
        return refuse(err, STATUS_INVALID, "the URL has a fragment");
    if (!host || !*host || zone)
        return refuse(err, STATUS_INVALID, zone ? "the URL has a zone id" : "the URL has no host");
    if (port && strcmp(port, "0") == 0)
        return refuse(err, STATUS_INVALID, "the URL's port is 0");
    return host_check(host, allow, allow_count, err);
}
