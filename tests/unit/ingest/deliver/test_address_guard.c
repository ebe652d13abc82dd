/* address_guard: which addresses and URLs Postern may connect to. */
#include "ingest/deliver/address_guard.h"

#include "storage/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static enum status check(const char *text, const char *exception)
{
    struct address address;
    struct cidr cidr;
    assert_int_equal(address_parse(bytes_of_str(text), &address), STATUS_OK);
    if (exception)
        assert_int_equal(cidr_parse(bytes_of_str(exception), &cidr), STATUS_OK);
    struct err err = {0};
    enum status status = address_guard_check(&address, &cidr, exception ? 1 : 0, &err);
    assert_int_equal(status == STATUS_OK, err.text[0] == '\0');
    return status;
}

static void public_addresses_are_allowed(void **state)
{
    (void)state;
    static const char *const PUBLIC[] = {
        "1.1.1.1",         "8.8.8.8",
        "9.255.255.255",   "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",
        "126.255.255.255", "128.0.0.1",
        "169.253.0.1",     "169.255.0.1",
        "172.15.255.255",  "172.32.0.1",
        "192.0.1.1",       "192.167.1.1",
        "192.169.0.1",     "198.17.255.255",
        "198.20.0.0",      "223.255.255.255",
        "2606:4700::1111", "2a00:1450:4001::200e",
        "2400:cb00::1",    "2001:4860::8888",
        "::ffff:8.8.8.8",  "64:ff9b::808:808",
        "2002:808:808::1", "2606:4700::5efe:808:808",
    };
    for (size_t i = 0; i < sizeof PUBLIC / sizeof PUBLIC[0]; i++)
        assert_int_equal(check(PUBLIC[i], NULL), STATUS_OK);
}

static void special_addresses_are_denied(void **state)
{
    (void)state;
    static const char *const SPECIAL[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:0:0:1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2001:20::1",
        "3fff::1",
        "100::1",
        "64:ff9b:1::1",
        "5f00::1",
        "4000::1",
        "fd00:ec2::254",
    };
    for (size_t i = 0; i < sizeof SPECIAL / sizeof SPECIAL[0]; i++)
        assert_int_equal(check(SPECIAL[i], NULL), STATUS_DENIED);
}

static void an_embedded_private_ipv4_address_is_denied_in_every_form(void **state)
{
    (void)state;
    static const char *const HIDDEN[] = {
        "::ffff:127.0.0.1",          /* mapped */
        "::ffff:a9fe:a9fe",          /* mapped, in hexadecimal */
        "::127.0.0.1",               /* compatible */
        "::10.0.0.1",                /* compatible */
        "::8.8.8.8",                 /* compatible: not global unicast, whatever is inside */
        "64:ff9b::7f00:1",           /* NAT64 */
        "64:ff9b::169.254.169.254",  /* NAT64 */
        "2002:7f00:1::1",            /* 6to4 */
        "2002:c0a8:101::1",          /* 6to4 */
        "2606:4700::5efe:7f00:1",    /* ISATAP */
        "2606:4700::200:5efe:a00:1", /* ISATAP, universal bit */
        "2001:0:808:808::80ff:fffe", /* Teredo, client 127.0.0.1 inverted */
    };
    for (size_t i = 0; i < sizeof HIDDEN / sizeof HIDDEN[0]; i++)
        assert_int_equal(check(HIDDEN[i], NULL), STATUS_DENIED);
}

static void an_exception_allows_its_range_only(void **state)
{
    (void)state;
    assert_int_equal(check("127.0.0.1", "127.0.0.0/8"), STATUS_OK);
    assert_int_equal(check("::ffff:127.0.0.1", "127.0.0.0/8"), STATUS_OK);
    assert_int_equal(check("::1", "127.0.0.0/8"), STATUS_DENIED);
    assert_int_equal(check("10.0.0.1", "127.0.0.0/8"), STATUS_DENIED);
    assert_int_equal(check("fd00::5", "fd00::/8"), STATUS_OK);
    assert_int_equal(check("64:ff9b::10.1.2.3", "10.0.0.0/8"), STATUS_OK);
    assert_int_equal(check("64:ff9b::10.1.2.3", "192.168.0.0/16"), STATUS_DENIED);
}

static void the_message_names_address_and_range(void **state)
{
    (void)state;
    struct address address;
    struct err err = {0};
    assert_int_equal(address_parse(bytes_of_str("64:ff9b::a00:1"), &address), STATUS_OK);
    assert_int_equal(address_guard_check(&address, NULL, 0, &err), STATUS_DENIED);
    assert_string_equal(err.text, "64:ff9b::a00:1 leads to IPv4: the address 10.0.0.1 is not "
                                  "allowed (private network)");
}

static enum status url(const char *text, bool is_http_allowed, const char *exception)
{
    struct cidr cidr;
    if (exception)
        assert_int_equal(cidr_parse(bytes_of_str(exception), &cidr), STATUS_OK);
    struct err err = {0};
    enum status status =
        url_guard_check(bytes_of_str(text), is_http_allowed, &cidr, exception ? 1 : 0, &err);
    assert_int_equal(status == STATUS_OK, err.text[0] == '\0');
    return status;
}

static void good_urls_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(url("https://example.com", false, NULL), STATUS_OK);
    assert_int_equal(url("https://example.com:8443/hook?a=b&c=%23", false, NULL), STATUS_OK);
    assert_int_equal(url("HTTPS://EXAMPLE.com/", false, NULL), STATUS_OK);
    assert_int_equal(url("https://8.8.8.8/", false, NULL), STATUS_OK);
    assert_int_equal(url("https://[2606:4700::1111]:9/", false, NULL), STATUS_OK);
    assert_int_equal(url("http://example.com/", true, NULL), STATUS_OK);
    assert_int_equal(url("http://127.0.0.1:80/", true, "127.0.0.0/8"), STATUS_OK);
    assert_int_equal(url("https://localhost/", false, "127.0.0.0/8"), STATUS_OK);
    assert_int_equal(url("https://notlocalhost/", false, NULL), STATUS_OK);
}

static void malformed_urls_are_invalid(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "example.com/hook",
        "//example.com",
        "https://",
        "https:///path",
        "https:/example.com/",
        "https:example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://:password@example.com/",
        "https://example.com/#part",
        "https://example.com/#",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com\\@127.0.0.1/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://example.com:x/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_int_equal(url(BAD[i], true, NULL), STATUS_INVALID);
}

static void urls_of_special_addresses_are_denied(void **state)
{
    (void)state;
    static const char *const DENIED[] = {
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://[::1]/",
        "https://10.0.0.1:443",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://[64:ff9b::127.0.0.1]/",
    };
    for (size_t i = 0; i < sizeof DENIED / sizeof DENIED[0]; i++)
        assert_int_equal(url(DENIED[i], true, NULL), STATUS_DENIED);
    assert_int_equal(url("http://example.com/", false, NULL), STATUS_DENIED);
}

static void a_url_over_the_limit_is_invalid(void **state)
{
    (void)state;
    char text[ENDPOINT_URL_MAX + 2];
    memset(text, 'a', sizeof text);
    memcpy(text, "https://b/", 10);
    text[ENDPOINT_URL_MAX + 1] = '\0';
    assert_int_equal(url(text, false, NULL), STATUS_INVALID);
    text[ENDPOINT_URL_MAX] = '\0';
    assert_int_equal(url(text, false, NULL), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_addresses_are_allowed),
        cmocka_unit_test(special_addresses_are_denied),
        cmocka_unit_test(an_embedded_private_ipv4_address_is_denied_in_every_form),
        cmocka_unit_test(an_exception_allows_its_range_only),
        cmocka_unit_test(the_message_names_address_and_range),
        cmocka_unit_test(good_urls_are_allowed),
        cmocka_unit_test(malformed_urls_are_invalid),
        cmocka_unit_test(urls_of_special_addresses_are_denied),
        cmocka_unit_test(a_url_over_the_limit_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
