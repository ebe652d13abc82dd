/* address: both families, ranges and listeners' addresses as text. */
#include "base/address.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct address address_of(const char *text)
{
    struct address address;

    assert_int_equal(address_parse(bytes_of_str(text), &address), STATUS_OK);
    return address;
}

static struct cidr cidr_of(const char *text)
{
    struct cidr cidr;

    assert_int_equal(cidr_parse(bytes_of_str(text), &cidr), STATUS_OK);
    return cidr;
}

static void addresses_come_back_in_canonical_form(void **state)
{
    static const char *const pairs[][2] = {
        {"127.0.0.1", "127.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::1", "::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"::ffff:0a01:0203", "10.1.2.3"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct address address = address_of(pairs[i][0]);
        char text[ADDRESS_TEXT_BYTES];
        address_format(&address, text);
        assert_string_equal(text, pairs[i][1]);
    }
    assert_true(address_is_v4(&(struct address[]){address_of("10.0.0.1")}[0]));
    assert_false(address_is_v4(&(struct address[]){address_of("::1")}[0]));
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {
        "",         "localhost", "1.2.3", "1.2.3.4.5",    "256.1.1.1", "01.2.3.4",   "1.2.3.4 ",
        " 1.2.3.4", "[::1]",     ":::",   "fe80::1%eth0", "0x7f.1",    "2130706433", "1.2.3.4/8"};
    struct address address;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(address_parse(bytes_of_str(texts[i]), &address), STATUS_INVALID);
    assert_int_equal(address_parse(bytes_of("1.2.3.4\0", 8), &address), STATUS_INVALID);
}

static void a_socket_address_becomes_address_and_port(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(8443)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct address address, expected = address_of("127.0.0.1");
    uint16_t port;

    (void)state;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(address_of_sockaddr((struct sockaddr *)&v4, &address, &port), STATUS_OK);
    assert_int_equal(port, 8443);
    assert_memory_equal(&address, &expected, sizeof address);
    assert_int_equal(address_of_sockaddr((struct sockaddr *)&v4, &address, NULL), STATUS_OK);
    assert_int_equal(address_of_sockaddr((struct sockaddr *)&un, &address, NULL), STATUS_INVALID);
}

static void ranges_come_back_as_they_were(void **state)
{
    static const char *const pairs[][2] = {
        {"10.0.0.0/8", "10.0.0.0/8"}, {"10.1.2.3", "10.1.2.3/32"}, {"0.0.0.0/0", "0.0.0.0/0"},
        {"fd00::/8", "fd00::/8"},     {"::1", "::1/128"},          {"::/0", "::/0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct cidr cidr = cidr_of(pairs[i][0]);
        char text[ADDRESS_TEXT_BYTES + 4];
        cidr_format(&cidr, text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.1/8",
                                        "fd00::1/8",
                                        "fd00::/129",
                                        "10.0.0.0/08",
                                        "10.0.0.0/8/8",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/+8",
                                        "10.0.0.0/8 ",
                                        "10.0.0.0/4294967304",
                                        "*",
                                        "10/8"};
    struct cidr cidr;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(cidr_parse(bytes_of_str(texts[i]), &cidr), STATUS_INVALID);
}

static void a_range_contains_its_addresses_only(void **state)
{
    static const struct {
        const char *range, *address;
        bool is_inside;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"192.168.1.1", "192.168.1.1", true},
        {"192.168.1.1", "192.168.1.2", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "8.8.8.8", false},
        {"::ffff:0:0/96", "8.8.8.8", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr cidr = cidr_of(rows[i].range);
        struct address address = address_of(rows[i].address);
        assert_int_equal(cidr_contains(&cidr, &address), rows[i].is_inside);
    }
}

static void a_list_contains_what_one_of_it_contains(void **state)
{
    struct cidr list[2] = {cidr_of("10.0.0.0/8"), cidr_of("::1")};
    struct address inside = address_of("::1"), outside = address_of("::2");

    (void)state;
    assert_true(cidr_list_contains(list, 2, &inside));
    assert_false(cidr_list_contains(list, 2, &outside));
    assert_false(cidr_list_contains(list, 0, &inside));
}

static void listeners_addresses_come_back(void **state)
{
    static const char *const pairs[][2] = {
        {"127.0.0.1:8443", "127.0.0.1:8443"},
        {"[::1]:0", "[::1]:0"},
        {":8443", "0.0.0.0:8443"},
        {"[::]:65535", "[::]:65535"},
        {"[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sockaddr_storage address;
        socklen_t len;
        char text[64];
        assert_int_equal(host_port_parse(bytes_of_str(pairs[i][0]), &address, &len), STATUS_OK);
        assert_int_equal(len, address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                           : sizeof(struct sockaddr_in6));
        host_port_format((struct sockaddr *)&address, text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void what_is_no_listeners_address_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        ":",
                                        "8443",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "::1:80",
                                        "[::1]",
                                        "[::1]80",
                                        "[127.0.0.1]:80",
                                        "[]:80",
                                        "localhost:80",
                                        "127.0.0.1:http",
                                        "127.0.0.1:-1",
                                        "127.0.0.1:080",
                                        "127.0.0.1:80:90",
                                        "127.0.0.1:8443 "};
    struct sockaddr_storage address;
    socklen_t len;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(host_port_parse(bytes_of_str(texts[i]), &address, &len), STATUS_INVALID);
}

static void a_unix_socket_has_no_port(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char text[64];

    (void)state;
    host_port_format((struct sockaddr *)&un, text);
    assert_string_equal(text, "unix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_back_in_canonical_form),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_socket_address_becomes_address_and_port),
        cmocka_unit_test(ranges_come_back_as_they_were),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(a_range_contains_its_addresses_only),
        cmocka_unit_test(a_list_contains_what_one_of_it_contains),
        cmocka_unit_test(listeners_addresses_come_back),
        cmocka_unit_test(what_is_no_listeners_address_is_refused),
        cmocka_unit_test(a_unix_socket_has_no_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
