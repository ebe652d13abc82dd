/* The bodies of events, byte for byte. */
#include "schemas/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HEAD(event)                                                                                \
    "{\"id\":\"evt_1\",\"event\":\"" event                                                         \
    "\",\"timestamp\":\"2025-11-20T13:00:00.000Z\",\"sequence\":1042,\"data\":"

/* `record_id` and `each_member` may be NULL, as in the header. */
static void assert_body(struct event_body body, const char *current, const char *previous,
                        const char *expected)
{
    struct json_doc now = {0}, before = {0};
    struct json_fault fault;
    struct buf out = {0};

    assert_int_equal(json_scan(&now, bytes_of_str(current), &fault), STATUS_OK);
    if (previous)
        assert_int_equal(json_scan(&before, bytes_of_str(previous), &fault), STATUS_OK);
    body.id = "evt_1";
    body.time_ms = INT64_C(1763643600000);
    body.sequence = 1042;
    body.current = &now;
    body.previous = previous ? &before : NULL;
    event_body_write(&body, &out);
    assert_int_equal(out.status, STATUS_OK);
    assert_string_equal(buf_str(&out), expected);
    json_doc_fini(&now);
    json_doc_fini(&before);
    buf_fini(&out);
}

static void a_record_is_shown_with_its_id(void **state)
{
    (void)state;
    assert_body(
        (struct event_body){.event = "workorder.created", .record_id = "wo_1"},
        "{ \"title\" : \"x\", \"id\" : \"mine\", \"n\" : 9007199254740993 }", NULL,
        HEAD("workorder.created") "{\"id\":\"wo_1\",\"title\":\"x\",\"n\":9007199254740993}}");
}

static void an_event_about_no_record_carries_its_data_as_it_is(void **state)
{
    (void)state;
    assert_body((struct event_body){.event = "report.generated"}, "{\"id\":1,\"x\":[1.0]}", NULL,
                HEAD("report.generated") "{\"id\":1,\"x\":[1]}}");
}

static void an_update_tells_what_was_before(void **state)
{
    (void)state;
    assert_body((struct event_body){.event = "workorder.updated", .record_id = "wo_1"},
                "{\"same\":1,\"title\":\"new\",\"extra\":true,\"id\":\"wo_1\"}",
                "{\"title\":\"old\",\"same\":1.0,\"gone\":[1],\"5\":\"five\"}",
                HEAD("workorder.updated") "{\"id\":\"wo_1\",\"same\":1,\"title\":\"new\","
                                          "\"extra\":true},\"previous\":{\"5\":\"five\","
                                          "\"title\":\"old\",\"gone\":[1],\"extra\":null}}");
}

static void an_update_of_the_order_alone_has_nothing_before(void **state)
{
    (void)state;
    assert_body((struct event_body){.event = "e", .record_id = "wo_1"}, "{\"a\":{\"x\":1,\"y\":2}}",
                "{\"id\":\"wo_1\",\"a\":{\"y\":2,\"x\":1}}",
                HEAD("e") "{\"id\":\"wo_1\",\"a\":{\"x\":1,\"y\":2}},\"previous\":{}}");
}

static void the_former_value_is_whole_where_a_part_changed(void **state)
{
    (void)state;
    assert_body((struct event_body){.event = "e", .record_id = "wo_1"}, "{\"a\":{\"x\":1,\"y\":3}}",
                "{\"a\":{\"x\":1.0,\"y\":2}}",
                HEAD("e") "{\"id\":\"wo_1\",\"a\":{\"x\":1,\"y\":3}},"
                          "\"previous\":{\"a\":{\"x\":1,\"y\":2}}}");
}

static void an_each_event_shows_its_element(void **state)
{
    struct event_body body = {.event = "employee.assigned",
                              .record_id = "wo_1",
                              .each_member = "assignments",
                              .element = 1};

    (void)state;
    assert_body(
        body, "{\"assignments\":[{\"employeeId\":\"e1\"},{ \"employeeId\":\"e2\"}]}", NULL,
        HEAD("employee.assigned") "{\"id\":\"wo_1\",\"assignments\":[{\"employeeId\":\"e1\"},"
                                  "{\"employeeId\":\"e2\"}]},"
                                  "\"element\":{\"employeeId\":\"e2\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_shown_with_its_id),
        cmocka_unit_test(an_event_about_no_record_carries_its_data_as_it_is),
        cmocka_unit_test(an_update_tells_what_was_before),
        cmocka_unit_test(an_update_of_the_order_alone_has_nothing_before),
        cmocka_unit_test(the_former_value_is_whole_where_a_part_changed),
        cmocka_unit_test(an_each_event_shows_its_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
