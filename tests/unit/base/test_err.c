/* err, status and action: messages for a person. */
#include "base/action.h"
#include "base/err.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_message_is_wrapped_on_the_way_up(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, "%s: %s", "/data", "No space left on device");
    err_wrap(&err, "open %s", "store");
    assert_string_equal(err.text, "open store: /data: No space left on device");
}

static void wrapping_nothing_leaves_the_prefix_alone(void **state)
{
    struct err err = {0};

    (void)state;
    err_wrap(&err, "open store");
    assert_string_equal(err.text, "open store");
}

static void a_message_may_quote_the_one_it_replaces(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, "first");
    err_set(&err, "not %s but second", err.text);
    assert_string_equal(err.text, "not first but second");
}

static void a_message_that_is_too_long_loses_its_end(void **state)
{
    struct err err = {0};
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    err_set(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_wrap(&err, "cause");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "cause: xxx", 10);
}

static void nobody_has_to_want_the_message(void **state)
{
    (void)state;
    err_set(NULL, "unheard");
    err_wrap(NULL, "unheard");
}

static void every_status_and_action_has_its_words(void **state)
{
    (void)state;
    for (int s = STATUS_BUSY; s <= STATUS_END; s++)
        assert_string_not_equal(status_text((enum status)s), "unknown status");
    assert_string_equal(status_text((enum status)99), "unknown status");
    assert_string_equal(record_action_text(ACTION_CREATED), "created");
    assert_string_equal(record_action_text(ACTION_UPDATED), "updated");
    assert_string_equal(record_action_text(ACTION_DELETED), "deleted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_wrapped_on_the_way_up),
        cmocka_unit_test(wrapping_nothing_leaves_the_prefix_alone),
        cmocka_unit_test(a_message_may_quote_the_one_it_replaces),
        cmocka_unit_test(a_message_that_is_too_long_loses_its_end),
        cmocka_unit_test(nobody_has_to_want_the_message),
        cmocka_unit_test(every_status_and_action_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
