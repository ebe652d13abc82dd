/* format: each format's yes and no, from the RFC that defines it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/format.h"

#include <stdio.h>

static void check(const char *name, const char *text, size_t len, bool is_valid)
{
    const struct format *format = format_find(bytes_of_str(name));
    assert_non_null(format);
    if (format->is_valid(bytes_of(text, len)) != is_valid)
        fail_msg("%s: \"%s\" should be %s", name, text, is_valid ? "valid" : "invalid");
}

/* Lists end with NULL. */
static void accepts(const char *name, const char *const *texts)
{
    for (; *texts; texts++)
        check(name, *texts, strlen(*texts), true);
}

static void refuses(const char *name, const char *const *texts)
{
    for (; *texts; texts++)
        check(name, *texts, strlen(*texts), false);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void dates_are_rfc_3339(void **state)
{
    (void)state;
    accepts("date", LIST("2026-11-20", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"));
    refuses("date", LIST("", "2026-11-2", "2026-1-20", "2026-13-01", "2026-00-10", "2026-04-31",
                         "2026-04-00", "2023-02-29", "1900-02-29", "06/19/1963", "2013-350",
                         "20261120", "2026-11-20T", "2026-11-20Z", "2026-11-2\xE0\xA7\xA8",
                         "2026-11-20\n", " 2026-11-20", "+2026-11-20", "-026-11-20", "2026-W01-1"));
}

static void times_have_an_offset_and_leap_seconds_only_before_midnight_utc(void **state)
{
    (void)state;
    accepts("time", LIST("08:30:06Z", "08:30:06z", "23:20:50.52Z", "00:00:00.1234567890123Z",
                         "08:30:06+00:20", "08:30:06-08:00", "12:34:56-00:00", "23:59:60Z",
                         "23:59:60+00:00", "01:29:60+01:30", "23:29:60+23:30", "15:59:60-08:00",
                         "00:29:60-23:30"));
    refuses("time",
            LIST("", "12:00:00", "12:00:00.52", "24:00:00Z", "00:60:00Z", "00:00:61Z", "22:59:60Z",
                 "23:58:60Z", "23:59:60+01:00", "23:59:60-00:30", "8:30:06Z", "008:030:006Z",
                 "08:30:06+24:00", "08:30:06+00:60", "08:30:06-8:00", "08:30:06+0130",
                 "08:30:06+01", "08:30:06.Z", "08:30:06,5Z", "08:30:06 PST", "08:30:06Z+00:30",
                 "08:30Z", "08:30:06Z\n", "1\xE0\xA7\xA8:00:00Z"));
}

static void date_times_are_both_with_a_t_between(void **state)
{
    (void)state;
    accepts("date-time", LIST("2026-11-20T13:00:00Z", "2026-11-20t13:00:00.283185z",
                              "1990-12-31T23:59:60Z", "1990-12-31T15:59:60.123-08:00",
                              "1937-01-01T12:00:27.87+00:20", "2026-11-20T13:00:00+23:59"));
    refuses("date-time",
            LIST("tomorrow", "", "2026-11-20", "2026-11-20 13:00:00Z", "2026-11-20T13:00:00",
                 "2026-11-20T13:00Z", "2026-02-30T13:00:00Z", "2026-11-20T24:00:00Z",
                 "1998-12-31T23:58:60Z", "1998-12-31T22:59:60Z", "2026-11-20T13:00:00+24:00",
                 "2026-11-20T13:00:00-1:00", "06/19/1963 08:30:06 PST", "2013-350T01:01:01Z",
                 "2026-11-20T13:00:00Z ", "12026-11-20T13:00:00Z", "2026-11-20T13:00:00.Z"));
}

static void durations_are_by_rfc_3339_appendix_a(void **state)
{
    (void)state;
    accepts("duration",
            LIST("P4DT12H30M5S", "P4Y", "PT0S", "P0D", "P1M", "PT1M", "PT36H", "P1DT12H", "P2W",
                 "P1Y2M3DT4H5M6S", "P1Y2M", "PT1M2S", "P01D", "P99999999999999999999999999D"));
    refuses("duration",
            LIST("", "P", "PT", "P1YT", "4DT12H30M5S", "PT1D", "P2D1Y", "P1D2H", "P2S", "P1Y2W",
                 "P1WT1H", "P1", "P1Y2D", "PT1H2S", "PT0.5S", "PT0,5S", "-P1D", "P-1D", "P1D ",
                 "P1e2D", "P1D2T3H", "P\xE0\xA7\xA8Y", "p1d", "T1H", "P1Y1Y", "W"));
}

static void host_names_are_by_rfc_1123(void **state)
{
    (void)state;
    accepts("hostname",
            LIST("www.example.com", "a", "1host", "hostnam3", "h-o-s-t", "1.2.3.4",
                 "xn--4gbwdl.xn--wgbh1c", "r3---sn-abc.example.com", "EXAMPLE.COM",
                 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.com"));
    refuses("hostname",
            LIST("", ".", "-a", "a-", "a.-b", "a..b", ".a", "a.", "host_name", "_a", "a b", "a/b",
                 "xn--X", "XN--aa---o47jg78q", "ex\xC3\xA4mple.com",
                 "a\xE3\x80\x82"
                 "b",
                 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl.com"));
    char text[300];
    memset(text, 'a', sizeof(text));
    for (size_t i = 50; i < sizeof(text); i += 51)
        text[i] = '.';
    check("hostname", text, 253, true);
    check("hostname", text, 254, false);
    check("hostname", "a\0b", 3, false);
}

static void internationalised_labels_follow_rfc_5892s_contextual_rules(void **state)
{
    (void)state;
    accepts("idn-hostname",
            LIST("실례.테스트", "hostname", "xn--ihqwcrb4cv8a8dqg056pqjye", "l·l", "α͵β", "א׳ב",
                 "א״ב", "・ぁ", "・ァ", "・丈", "ß\xCF\x82་〇", "\xDB\xBD\xDB\xBE",
                 "\xD8\xA8\xD9\xA0\xD8\xA8",
                 "\xDB\xB0"
                 "0",
                 "क\xE0\xA5\x8D\xE2\x80\x8Dष", "क\xE0\xA5\x8D\xE2\x80\x8Cष", "بي\xE2\x80\x8Cبي",
                 "a。b", "a．b", "a｡b", "παράδειγμαπαράδειγμαπαράδειγμαπαράδειγμαπαράδειγμα。com"));
    refuses("idn-hostname",
            LIST("", ".", "。", "．example", "example｡", "〮실례.테스트", "실〮례.테스트",
                 "-> $1.00 <--", "xn--X", "XN--aa---o47jg78q", "-hello", "hello-",
                 "\xE0\xA4\x83hello", "\xCC\x80hello", "\xD2\x88hello", "\xD9\x80\xDF\xBA",
                 "〱〲〳〴〵〮〯〻", "a·l", "·l", "l·a", "l·", "α͵S", "α͵", "A׳ב", "׳ב", "A״ב",
                 "״ב", "def・abc", "・", "\xD8\xA8\xD9\xA0\xDB\xB0", "क\xE2\x80\x8Dष",
                 "\xE2\x80\x8Dष",
                 "παράδειγμαπαράδειγμαπαράδειγμαπαράδειγμαπαράδειγμαπαράδειγμα.com"));
}

static void mailboxes_are_by_rfc_5321(void **state)
{
    static const char *const GOOD[] = {"joe.bloggs@example.com",
                                       "te~st@example.com",
                                       "\"joe bloggs\"@example.com",
                                       "\"joe..bloggs\"@example.com",
                                       "\"joe@bloggs\"@example.com",
                                       "\"\\\"\"@example.com",
                                       "\"\"@example.com",
                                       "joe@[127.0.0.1]",
                                       "joe@[IPv6:::1]",
                                       "joe@[ipv6:2001:db8::7]",
                                       "te.s.t@example.com",
                                       "test@io",
                                       "test@c--n.com",
                                       "test@255.255.255.255",
                                       NULL};
    static const char *const BAD[] = {"",
                                      "2962",
                                      "@example.com",
                                      "joe@",
                                      "joe bloggs@example.com",
                                      ".test@example.com",
                                      "test.@example.com",
                                      "te..st@example.com",
                                      "joe@invalid=domain.com",
                                      "joe@[127.0.0.300]",
                                      "joe@[]",
                                      "joe@[1.2.3",
                                      "joe@a[1.2.3.4]",
                                      "a@b@c.org",
                                      "\"test\"test@a.org",
                                      "\"test@a.org",
                                      "\"te\"st\"@a.org",
                                      "\"test\\\"@a.org",
                                      "test@-a.org",
                                      "test@a-.org",
                                      "test@a.org.",
                                      "test@a.org ",
                                      " test@a.org",
                                      "a,b@a.org",
                                      "test(x)@a.org",
                                      NULL};
    (void)state;
    accepts("email", GOOD);
    accepts("idn-email", GOOD);
    refuses("email", BAD);
    refuses("idn-email", BAD);
    refuses("email",
            LIST("a\xC3\xA9@a.org", "a@\xC3\xA9.org", "\"\xC3\xA9\"@a.org", "\"\\\xC3\xA9\"@a.org",
                 "a\xEF\xBC\xA0"
                 "a.org"));
    accepts("idn-email", LIST("실례@실례.테스트", "a\xC3\xA9@a.org", "\"\xC3\xA9\"@a.org"));
}

static void addresses_are_by_rfc_2673_and_4291(void **state)
{
    (void)state;
    accepts("ipv4", LIST("192.168.0.1", "0.0.0.0", "255.255.255.255"));
    refuses("ipv4", LIST("", "127.0.0.0.1", "256.1.1.1", "127.0", "0x7f000001", "2130706433",
                         "087.10.0.1", "01.2.3.4", "1.2.3.4/24", "1.2.3.", "1.2.3.4.", ".1.2.3",
                         "1..2.3", " 1.2.3.4", "1.2.3.4\n", "1.2.3.0004", "1\xE0\xA7\xA8.0.0.1"));
    accepts("ipv6", LIST("::1", "::", "::abef", "1::", "2001:db8::7", "1:2:3:4:5:6:7:8", "1:2::7:8",
                         "::ffff:192.168.0.1", "1:2:3:4:5:6:1.2.3.4", "1::2:192.168.0.1",
                         "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
                         "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::1.2.3.4"));
    refuses("ipv6", LIST("", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
                         "12345::", "::abcef1", ":2:3:4:5:6:7:8",
                         "1:2:3:4:5:6:7:", "1:2:3:4:5:6:7::8", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3",
                         "::1.2.3.400", "1.2.3.4", "::laptop", "::1%eth0", "::1/64", "[::1]",
                         "-1::", "1:2::1.2.3.4:5", " ::1", "::1\n", "1:2:3:4::5:6:7:8:9"));
}

static void uris_are_by_rfc_3986(void **state)
{
    static const char *const GOOD[] = {"http://foo.bar/?baz=qux#quux",
                                       "http://foo.com/blah_(wikipedia)_blah#cite-1",
                                       "http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com",
                                       "ldap://[2001:db8::7]/c=GB?objectClass?one",
                                       "http://[v1.fe80::a+en1]/",
                                       "mailto:John.Doe@example.com",
                                       "tel:+1-816-555-1212",
                                       "urn:oasis:names:x:4.1.2",
                                       "http://a.com:",
                                       "http://:80",
                                       "http://user@",
                                       "http://999.999.999.999/",
                                       "file:///etc/hosts",
                                       "a:",
                                       NULL};
    static const char *const BAD[] = {"\\\\WINDOWS\\fileshare",
                                      "http:// shouldfail.com",
                                      ":// should fail",
                                      "bar,baz:foo",
                                      "https://[@example.org/test.txt",
                                      "http://[::1",
                                      "http://[::1]x/",
                                      "http://a[::1]/",
                                      "http://example.com/%6G",
                                      "http://example.com/%A",
                                      "http://example.com/%",
                                      "http://example.com:abc/",
                                      "http://a.com::",
                                      "https://example.org/a<b>",
                                      "https://example.org/{}",
                                      "https://example.org/a^b",
                                      "https://example.org/a`b",
                                      "https://example.org/a|b",
                                      "https://example.org/a b",
                                      "https://example.org/a\\b",
                                      "https://example.org/a\"b",
                                      "http://a.com/[x]",
                                      "http://a.com/#a#b",
                                      "1http://example.com",
                                      "ht_tp://example.com",
                                      NULL};
    static const char *const RELATIVE[] = {
        "//foo.bar/?baz=qux#quux", "/abc", "abc", "", "#frag", "?q", "./a:b", NULL};
    (void)state;
    accepts("uri", GOOD);
    accepts("iri", GOOD);
    accepts("uri-reference", GOOD);
    accepts("iri-reference", GOOD);
    refuses("uri", BAD);
    refuses("iri", BAD);
    refuses("uri-reference", BAD);
    refuses("iri-reference", BAD);
    refuses("uri", RELATIVE);
    refuses("iri", RELATIVE);
    accepts("uri-reference", RELATIVE);
    accepts("iri-reference", RELATIVE);
    check("uri", "a:\0", 3, false);
}

static void iris_have_more_characters(void **state)
{
    (void)state;
    accepts("iri", LIST("http://ƒøø.ßår/?∂éœ=πîx#πîüx", "http://ƒøø.com/blah_(wîkïpédiå)",
                        "a:\xF0\x90\x80\x80", "http://a.com/?\xEE\x80\x80"));
    refuses("uri", LIST("http://ƒøø.ßår/?∂éœ=πîx#πîüx"));
    refuses("iri", LIST("http://a.com/\xEE\x80\x80", "http://a.com/\xEF\xB7\x90", "/âππ",
                        "http://a.com/\xC2\x80", "http://2001:0db8:85a3:0000:0000:8a2e:0370:7334"));
    accepts("iri-reference", LIST("/âππ", "âππ", "#ƒrägmênt", "//ƒøø.ßår/?∂éœ=πîx#πîüx"));
    refuses("iri-reference", LIST("\\\\WINDOWS\\filëßåré", "#ƒräg\\mênt"));
}

static void uri_templates_are_by_rfc_6570(void **state)
{
    (void)state;
    accepts("uri-template", LIST("http://example.com/dictionary/{term:1}/{term}", "", "dictionary",
                                 "{+var}", "{#var}", "{.var}", "{/var}", "{;var}", "{?x,y}",
                                 "{&var*}", "{a.b}", "{%41}", "{v:1000}", "a%41b",
                                 "a\xF0\x9F\x98\x80"
                                 "b",
                                 "a\xEE\x80\x80"
                                 "b",
                                 "a'b"));
    refuses("uri-template",
            LIST("{term", "foo}bar", "{}", "{a,,b}", "{a,}", "{,a}", "{v:0}", "{v:01}", "{v:10000}",
                 "{v:}", "{a..b}", "{.a.}", "{a*b}", "{%}", "{%4}", "{%GG}", "a%", "a%GG", "a b",
                 "a<b", "a\\b", "{=a}", "{!a}", "{|a}", "{var=def}", "{a b}", "{a-b}"));
}

static void uuids_are_by_rfc_4122(void **state)
{
    (void)state;
    accepts("uuid",
            LIST("2EB8AA08-AA98-11EA-B4AA-73B441D16380", "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
                 "00000000-0000-0000-0000-000000000000", "98d80576-482e-027e-8434-7f86890ab222",
                 "ffffffff-ffff-ffff-ffff-ffffffffffff"));
    refuses("uuid",
            LIST("", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08-aa98-11ea-73b441d16380",
                 "2eb8aa08-aa98-11ea-b4ga-73b441d16380", "2eb8aa08aa9811eab4aa73b441d16380",
                 "2eb8aa08aa98-11ea-b4aa73b441d16380--", "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}",
                 "2eb8-aa08-aa98-11ea-b4aa73b44-1d16380"));
}

static void pointers_are_by_rfc_6901(void **state)
{
    (void)state;
    accepts("json-pointer",
            LIST("", "/", "/foo/0", "/a~1b", "/m~0n", "//", "/ ", "/\"", "/~01", "/foo/-"));
    refuses("json-pointer", LIST("a", "0", "#", "#/", "/~", "/~2", "/foo/bar~", "/~-1", "/~~"));
    accepts("relative-json-pointer",
            LIST("1", "0", "0/foo/bar", "2/0/baz/1/zip", "0#", "0+1", "0+1/foo", "1-2/bar", "0-0",
                 "0-1#", "120/foo", "100", "0//"));
    refuses("relative-json-pointer",
            LIST("", "/foo/bar", "-1/foo", "+1/foo", "0##", "01/a", "01#", "1foo", "0+", "0-01",
                 "0++1", "0/~2", "1#/foo", "1\n", "\xD9\xA1/foo"));
}

static void the_regex_format_is_ecma_262(void **state)
{
    (void)state;
    accepts("regex", LIST("([abc])+\\s+$", "", "^a{1,3}?$", "(?<name>x)\\k<name>", "(?<=a)b",
                          "\\p{Letter}\\u{1F600}"));
    refuses("regex", LIST("^(abc]", "a**", "\\a", "\\Z", "(?i)a", "[z-a]", "a{2,1}",
                          "\\p{Nothing-}", "(?P<a>b)", "\\1", "\\"));
}

static void names_are_found_and_others_are_not(void **state)
{
    size_t count = 0;
    (void)state;
    for (; format_at(count); count++)
        assert_ptr_equal(format_find(bytes_of_str(format_at(count)->name)), format_at(count));
    assert_int_equal(count, 19);
    assert_null(format_find(bytes_of_str("color")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_rfc_3339),
        cmocka_unit_test(times_have_an_offset_and_leap_seconds_only_before_midnight_utc),
        cmocka_unit_test(date_times_are_both_with_a_t_between),
        cmocka_unit_test(durations_are_by_rfc_3339_appendix_a),
        cmocka_unit_test(host_names_are_by_rfc_1123),
        cmocka_unit_test(internationalised_labels_follow_rfc_5892s_contextual_rules),
        cmocka_unit_test(mailboxes_are_by_rfc_5321),
        cmocka_unit_test(addresses_are_by_rfc_2673_and_4291),
        cmocka_unit_test(uris_are_by_rfc_3986),
        cmocka_unit_test(iris_have_more_characters),
        cmocka_unit_test(uri_templates_are_by_rfc_6570),
        cmocka_unit_test(uuids_are_by_rfc_4122),
        cmocka_unit_test(pointers_are_by_rfc_6901),
        cmocka_unit_test(the_regex_format_is_ecma_262),
        cmocka_unit_test(names_are_found_and_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
