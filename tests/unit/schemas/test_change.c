/* Which events a revision raises. */
#include "schemas/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void scan(struct json_doc *doc, const char *text)
{
    struct json_fault fault;

    assert_int_equal(json_scan(doc, bytes_of_str(text), &fault), STATUS_OK);
}

/* The type owns its texts, so they are not const; nobody writes to them here. */
#define TEXT(literal) ((char *)(literal))

static struct record_type workorder(void)
{
    static const struct {
        const char *member, *becomes, *event;
    } RULES[] = {
        {"status", "\"in_progress\"", "workorder.started"},
        {"status", "\"completed\"", "workorder.completed"},
        {"score", "1.5", "workorder.rated"},
        {"flag", "true", "workorder.flagged"},
        {"flag", "false", "workorder.unflagged"},
        {"flag", "null", "workorder.forgotten"},
        {"note", "\"\\n\"", "workorder.blank"},
        {"place", "{\"x\":[1]}", "workorder.placed"},
    };
    static struct event_when when[sizeof RULES / sizeof RULES[0]];
    static struct event_each each;

    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        when[i].member = json_name_of(RULES[i].member);
        when[i].event = TEXT(RULES[i].event);
        scan(&when[i].becomes, RULES[i].becomes);
    }
    each = (struct event_each){json_name_of("assignments"), json_name_of("employeeId"),
                               TEXT("employee.assigned")};
    return (struct record_type){.event_created = TEXT("workorder.created"),
                                .event_updated = TEXT("workorder.updated"),
                                .event_deleted = TEXT("workorder.deleted"),
                                .when = when,
                                .when_count = sizeof when / sizeof when[0],
                                .each = &each,
                                .each_count = 1};
}

static void put_events(struct buf *names, const struct change_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(names, "%s%s", i ? " " : "", events[i].event);
        if (events[i].element != JSON_NONE)
            buf_printf(names, "[%s/%u]", events[i].each_member, events[i].element);
        if (events[i].is_update)
            buf_put_char(names, '*');
    }
}

static void assert_events(enum record_action action, const char *previous, const char *current,
                          const char *expected)
{
    struct record_type type = workorder();
    struct json_doc before = {0}, now = {0};
    struct change_event events[16];
    struct buf names = {0};

    if (previous)
        scan(&before, previous);
    scan(&now, current);
    put_events(&names, events,
               change_events(&type, action, previous ? &before : NULL, &now, events, 16));
    assert_string_equal(buf_str(&names), expected);
    json_doc_fini(&before);
    json_doc_fini(&now);
    buf_fini(&names);
}

static void the_first_revision_has_nothing_before_it(void **state)
{
    (void)state;
    assert_events(ACTION_CREATED, NULL, "{\"status\":\"draft\"}", "workorder.created");
    assert_events(ACTION_CREATED, NULL,
                  "{\"assignments\":[{\"employeeId\":\"e1\"}],\"status\":\"in_progress\"}",
                  "workorder.created workorder.started employee.assigned[assignments/0]");
}

static void a_member_that_takes_a_value_raises_its_event(void **state)
{
    (void)state;
    assert_events(ACTION_UPDATED, "{\"status\":\"in_progress\"}", "{\"status\":\"completed\"}",
                  "workorder.updated* workorder.completed");
    assert_events(ACTION_UPDATED, "{}", "{\"status\":\"completed\",\"score\":15e-1}",
                  "workorder.updated* workorder.completed workorder.rated");
}

static void a_member_that_keeps_its_value_raises_none(void **state)
{
    (void)state;
    assert_events(ACTION_UPDATED, "{\"status\":\"completed\",\"score\":1.50}",
                  "{\"status\":\"c\\u006fmpleted\",\"title\":\"x\",\"score\":1.5}",
                  "workorder.updated*");
    assert_events(ACTION_UPDATED, "{\"status\":\"completed\"}", "{}", "workorder.updated*");
}

static void the_value_may_be_of_any_kind(void **state)
{
    (void)state;
    assert_events(ACTION_UPDATED, "{\"flag\":0}", "{\"flag\":true}",
                  "workorder.updated* workorder.flagged");
    assert_events(ACTION_UPDATED, "{\"flag\":true}", "{\"flag\":false}",
                  "workorder.updated* workorder.unflagged");
    assert_events(ACTION_UPDATED, "{}", "{\"flag\":null}",
                  "workorder.updated* workorder.forgotten");
    assert_events(ACTION_UPDATED, "{\"note\":\"n\"}", "{\"note\":\"\\u000a\"}",
                  "workorder.updated* workorder.blank");
    assert_events(ACTION_UPDATED, "{\"place\":{\"x\":[2]}}", "{\"place\":{\"x\":[1.0]}}",
                  "workorder.updated* workorder.placed");
}

static void a_deletion_raises_its_own_event_only(void **state)
{
    (void)state;
    assert_events(ACTION_DELETED, "{\"status\":\"draft\"}", "{\"status\":\"completed\"}",
                  "workorder.deleted");
}

static void elements_are_told_apart_by_one_member(void **state)
{
    (void)state;
    assert_events(ACTION_UPDATED,
                  "{\"assignments\":[{\"employeeId\":\"e1\",\"hours\":1},{\"employeeId\":2}]}",
                  "{\"assignments\":[{\"employeeId\":\"e3\"},{\"employeeId\":\"e1\",\"hours\":9},"
                  "{\"employeeId\":2.0},{\"role\":\"x\"},{\"employeeId\":\"e3\"},7,"
                  "{\"employeeId\":\"e4\"}]}",
                  "workorder.updated* employee.assigned[assignments/0] "
                  "employee.assigned[assignments/6]");
}

static void an_array_that_comes_or_goes_is_no_special_case(void **state)
{
    (void)state;
    assert_events(ACTION_UPDATED, "{\"assignments\":\"none\"}",
                  "{\"assignments\":[{\"employeeId\":\"e1\"}]}",
                  "workorder.updated* employee.assigned[assignments/0]");
    assert_events(ACTION_UPDATED, "{\"assignments\":[{\"employeeId\":\"e1\"}]}", "{}",
                  "workorder.updated*");
    assert_events(ACTION_UPDATED, "{}", "{\"assignments\":{\"employeeId\":\"e1\"}}",
                  "workorder.updated*");
}

static void a_type_without_an_event_raises_none(void **state)
{
    struct record_type type = {0};
    struct json_doc now = {0};
    struct change_event events[1];

    (void)state;
    scan(&now, "{}");
    assert_int_equal(change_events(&type, ACTION_UPDATED, &now, &now, events, 1), 0);
    assert_int_equal(change_events(&type, ACTION_DELETED, &now, &now, events, 1), 0);
    json_doc_fini(&now);
}

/* An array of `count` elements with ids from `from` on, each of them twice. */
static void put_elements(struct buf *text, int from, int count)
{
    buf_put_str(text, "{\"assignments\":[");
    for (int i = 0; i < count; i++)
        buf_printf(text, "%s{\"employeeId\":%d},{\"employeeId\":%d.0}", i ? "," : "", from + i,
                   from + i);
    buf_put_str(text, "]}");
}

static size_t count_events(int before_count, int now_from, int now_count,
                           struct change_event *ret_last, size_t capacity)
{
    struct record_type type = workorder();
    struct json_doc before = {0}, now = {0};
    struct buf before_text = {0}, now_text = {0};
    static struct change_event events[CHANGE_EVENTS_MAX + 8];
    size_t count;

    type.event_updated = NULL;
    put_elements(&before_text, 0, before_count);
    put_elements(&now_text, now_from, now_count);
    scan(&before, buf_str(&before_text));
    scan(&now, buf_str(&now_text));
    count = change_events(&type, ACTION_UPDATED, &before, &now, events, capacity);
    if (count && count <= capacity)
        *ret_last = events[count - 1];
    json_doc_fini(&before);
    json_doc_fini(&now);
    buf_fini(&before_text);
    buf_fini(&now_text);
    return count;
}

static void long_arrays_are_compared_in_time(void **state)
{
    struct change_event last;

    (void)state;
    assert_int_equal(count_events(20000, 30, 20000, &last, 100), 30);
    assert_int_equal(last.element, 2 * 19999);
    for (int count = 1; count < 20; count++) /* where the table begins */
        assert_int_equal(count_events(count, 1, count, &last, 100), 1);
}

static void there_is_a_most_of_element_events(void **state)
{
    struct change_event last;

    (void)state;
    assert_int_equal(count_events(0, 0, 5000, &last, CHANGE_EVENTS_MAX + 8), CHANGE_EVENTS_MAX);
    assert_int_equal(last.element, 2 * (CHANGE_EVENTS_MAX - 1));
    assert_int_equal(count_events(0, 0, 50, &last, 3), 50); /* told, not written */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_revision_has_nothing_before_it),
        cmocka_unit_test(a_member_that_takes_a_value_raises_its_event),
        cmocka_unit_test(a_member_that_keeps_its_value_raises_none),
        cmocka_unit_test(the_value_may_be_of_any_kind),
        cmocka_unit_test(a_deletion_raises_its_own_event_only),
        cmocka_unit_test(elements_are_told_apart_by_one_member),
        cmocka_unit_test(an_array_that_comes_or_goes_is_no_special_case),
        cmocka_unit_test(a_type_without_an_event_raises_none),
        cmocka_unit_test(long_arrays_are_compared_in_time),
        cmocka_unit_test(there_is_a_most_of_element_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
