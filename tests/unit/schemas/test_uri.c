/* uri: reference resolution, by RFC 3986 section 5.4's examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/uri.h"

static void assert_resolves(const char *base, const char *reference, const char *expected)
{
    struct buf out = {0};
    uri_resolve(bytes_of_str(base), bytes_of_str(reference), &out);
    assert_string_equal(buf_str(&out), expected);
    buf_fini(&out);
}

static void references_resolve_as_in_rfc_3986(void **state)
{
    static const char *const EXAMPLES[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"http:g", "http:g"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++)
        assert_resolves("http://a/b/c/d;p?q", EXAMPLES[i][0], EXAMPLES[i][1]);
}

static void schemes_without_authority_resolve_too(void **state)
{
    (void)state;
    assert_resolves("postern:/schemas/a.json", "b.json#x", "postern:/schemas/b.json#x");
    assert_resolves("urn:uuid:1", "#foo", "urn:uuid:1#foo");
    assert_resolves("http://example.com", "a", "http://example.com/a");
    assert_resolves("file:///folder/a.json", "b.json", "file:///folder/b.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_resolve_as_in_rfc_3986),
        cmocka_unit_test(schemes_without_authority_resolve_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
