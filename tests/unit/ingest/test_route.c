/* Paths, methods, query parameters; and the small header parsers beside them. */
#include "ingest/precondition.h"
#include "ingest/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct route at(const char *path)
{
    return route_of(bytes_of_str(path), false);
}

static void each_path_names_its_resource(void **state)
{
    (void)state;
    assert_int_equal(at("/").kind, ROUTE_ROOT);
    assert_int_equal(at("/api/events").kind, ROUTE_EVENTS);
    assert_int_equal(at("/problems/invalid-json").kind, ROUTE_PROBLEMS);
    struct route route = at("/api/webhook/workorder");
    assert_int_equal(route.kind, ROUTE_COLLECTION);
    assert_true(bytes_equal_str(route.type, "workorder"));
    route = at("/api/webhook/workorder/WO%2F1");
    assert_int_equal(route.kind, ROUTE_RECORD);
    assert_true(bytes_equal_str(route.target, "WO%2F1"));
}

static void a_trailing_slash_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(at("/api/webhook/workorder/").kind, ROUTE_COLLECTION);
    assert_int_equal(at("/api/events/").kind, ROUTE_EVENTS);
}

static void what_is_below_api_asks_for_a_key_first(void **state)
{
    (void)state;
    assert_int_equal(at("/api").kind, ROUTE_API_OTHER);
    assert_int_equal(at("/api/webhook").kind, ROUTE_API_OTHER);
    assert_int_equal(at("/api/webhook/workorder/1/2").kind, ROUTE_API_OTHER);
    assert_int_equal(at("/apifoo").kind, ROUTE_NONE);
    assert_int_equal(at("/metrics").kind, ROUTE_NONE);
}

static void the_admin_listener_serves_only_its_own(void **state)
{
    (void)state;
    assert_int_equal(route_of(bytes_of_str("/metrics"), true).kind, ROUTE_METRICS);
    assert_int_equal(route_of(bytes_of_str("/healthz"), true).kind, ROUTE_HEALTHZ);
    assert_int_equal(route_of(bytes_of_str("/api/events"), true).kind, ROUTE_NONE);
}

static void methods_are_compared_whole(void **state)
{
    (void)state;
    assert_true(route_has_method(ROUTE_COLLECTION, bytes_of_str("POST")));
    assert_true(route_has_method(ROUTE_RECORD, bytes_of_str("DELETE")));
    assert_false(route_has_method(ROUTE_COLLECTION, bytes_of_str("PATCH")));
    assert_false(route_has_method(ROUTE_COLLECTION, bytes_of_str("POS")));
    assert_false(route_has_method(ROUTE_COLLECTION, bytes_of_str("")));
}

static void query_parameters_are_found_by_name(void **state)
{
    (void)state;
    struct bytes query = bytes_of_str("limit=5&cursor=&&since=24h");
    assert_true(bytes_equal_str(query_find(query, "limit"), "5"));
    assert_true(bytes_equal_str(query_find(query, "since"), "24h"));
    assert_non_null(query_find(query, "cursor").data);
    assert_null(query_find(query, "lim").data);
    static const char *const KNOWN[] = {"limit", "cursor"};
    assert_true(bytes_equal_str(query_unknown(query, KNOWN, 2), "since"));
}

static struct precondition preconditions(const char *if_match)
{
    struct precondition precondition;
    assert_int_equal(precondition_parse(bytes_of_str(if_match), (struct bytes){0}, &precondition),
                     STATUS_OK);
    return precondition;
}

static void if_match_lists_revisions(void **state)
{
    (void)state;
    struct precondition precondition = preconditions("\"3\", W/\"4\", \"foreign\",\"12\"");
    assert_true(precondition.has_tags);
    assert_int_equal(precondition.tag_count, 2);
    assert_int_equal(precondition.tags[0], 3);
    assert_int_equal(precondition.tags[1], 12);
    assert_true(preconditions("*").is_any);
    struct precondition ignored;
    assert_int_equal(precondition_parse(bytes_of_str("3"), (struct bytes){0}, &ignored),
                     STATUS_INVALID);
    assert_int_equal(precondition_parse((struct bytes){0}, bytes_of_str("\"3\""), &ignored),
                     STATUS_INVALID);
}

static void idempotency_keys_come_bare_or_quoted(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct bytes key;
    assert_int_equal(idempotency_key_parse(bytes_of_str("abc-1"), &scratch, &key), STATUS_OK);
    assert_true(bytes_equal_str(key, "abc-1"));
    assert_int_equal(idempotency_key_parse(bytes_of_str("\"abc-1\""), &scratch, &key), STATUS_OK);
    assert_true(bytes_equal_str(key, "abc-1"));
    assert_int_equal(idempotency_key_parse(bytes_of_str("\"a\\\"b\""), &scratch, &key), STATUS_OK);
    assert_true(bytes_equal_str(key, "a\"b"));
    assert_int_equal(idempotency_key_parse(bytes_of_str(""), &scratch, &key), STATUS_INVALID);
    assert_int_equal(idempotency_key_parse(bytes_of_str("\"\""), &scratch, &key), STATUS_INVALID);
    assert_int_equal(idempotency_key_parse(bytes_of_str("\xc3\xa4"), &scratch, &key),
                     STATUS_INVALID);
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = '\0';
    assert_int_equal(idempotency_key_parse(bytes_of(longest, 255), &scratch, &key), STATUS_OK);
    assert_int_equal(idempotency_key_parse(bytes_of(longest, 256), &scratch, &key), STATUS_INVALID);
    buf_fini(&scratch);
}

static void content_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum content_kind kind;
    } CASES[] = {
        {"application/json", CONTENT_JSON},
        {"Application/JSON; charset=utf-8", CONTENT_JSON},
        {"application/merge-patch+json", CONTENT_JSON},
        {"application/x-ndjson", CONTENT_NDJSON},
        {"application/json; charset=iso-8859-1", CONTENT_OTHER},
        {"text/plain", CONTENT_OTHER},
        {"+json", CONTENT_OTHER},
        {"", CONTENT_OTHER},
        {"application/jsonx", CONTENT_OTHER},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(content_kind_of(bytes_of_str(CASES[i].text)), CASES[i].kind);
}

static void strict_handling_is_found_among_preferences(void **state)
{
    (void)state;
    assert_true(prefer_is_strict(bytes_of_str("respond-async, handling=strict; x=1")));
    assert_true(prefer_is_strict(bytes_of_str("Handling=Strict")));
    assert_false(prefer_is_strict(bytes_of_str("handling=lenient")));
    assert_false(prefer_is_strict(bytes_of_str("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_names_its_resource),
        cmocka_unit_test(a_trailing_slash_changes_nothing),
        cmocka_unit_test(what_is_below_api_asks_for_a_key_first),
        cmocka_unit_test(the_admin_listener_serves_only_its_own),
        cmocka_unit_test(methods_are_compared_whole),
        cmocka_unit_test(query_parameters_are_found_by_name),
        cmocka_unit_test(if_match_lists_revisions),
        cmocka_unit_test(idempotency_keys_come_bare_or_quoted),
        cmocka_unit_test(content_types_are_told_apart),
        cmocka_unit_test(strict_handling_is_found_among_preferences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
