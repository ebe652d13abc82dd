/*
 * Memory that is not there: the same work with the first allocation failing, then the second, and
 * so on until it goes through untouched. Each time what comes out is right, or it is said that it
 * is not.
 */
#include "schemas/change.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/failing_memory.h"

/* Runs `work` until no allocation fails. It gets a fresh outcome each time. */
static void with_every_failure(void (*work)(bool is_untouched))
{
    for (unsigned from = 1;; from++) {
        fail_memory(0, 0);
        work(true);
        if (from > stop_failing())
            return;
        fail_memory(from, UINT_MAX);
        work(false);
    }
}

#define MEMBERS 60

/* Escaped and integer-like names, and an array long enough for a table. `step` orders the members.
 */
static const char *text_of(int step)
{
    static struct buf texts[2];
    struct buf *text = &texts[step == 1];
    unsigned from = fails_from;

    (void)stop_failing();
    if (text->len == 0) {
        buf_put_str(text, "{\"a\":[");
        for (int i = 0; i < MEMBERS; i++)
            buf_printf(text, "%s{\"b\":\"\\u0065%d\"}", i ? "," : "", i * step);
        buf_put_char(text, ']');
        for (int i = 0; i < MEMBERS; i++)
            buf_printf(text, ",\"%s%d\":%d", i % 2 ? "\\u0031" : "\\u006d", i * step % MEMBERS, i);
        buf_put_char(text, '}');
    }
    fails_from = from;
    return buf_str(text);
}

/* Scanned whatever happens to memory afterwards. */
static void scan_safely(struct json_doc *doc, const char *text)
{
    struct json_fault fault;
    unsigned from = fails_from, count = stop_failing();

    assert_int_equal(json_scan(doc, bytes_of_str(text), &fault), STATUS_OK);
    fails_from = from;
    allocations = count;
}

static void scan_once(bool is_untouched)
{
    struct json_doc doc = {0};
    struct json_fault fault;
    enum status s = json_scan(&doc, bytes_of_str(text_of(1)), &fault);

    assert_true(s == STATUS_OK || (s == STATUS_NO_MEMORY && !is_untouched && !doc.node_count));
    json_doc_fini(&doc);
}

static void compare_once(bool is_untouched)
{
    struct json_doc a = {0}, b = {0};

    (void)is_untouched; /* comparing never fails, it only gets slower */
    scan_safely(&a, text_of(1));
    scan_safely(&b, text_of(1));
    assert_true(json_equal(&a, 0, &b, 0));
    scan_safely(&b, text_of(7));
    assert_false(json_equal(&a, 0, &b, 0));
    json_doc_fini(&a);
    json_doc_fini(&b);
}

static void assert_written(struct buf *out, bool is_untouched, struct buf *expected)
{
    assert_true(out->status == STATUS_OK || (out->status == STATUS_NO_MEMORY && !is_untouched));
    (void)stop_failing();
    if (is_untouched && expected->len == 0)
        buf_put_bytes(expected, buf_bytes(out));
    if (out->status == STATUS_OK)
        assert_true(bytes_equal(buf_bytes(out), buf_bytes(expected)));
    buf_fini(out);
}

static void write_once(bool is_untouched)
{
    static struct buf expected;
    struct json_doc doc = {0};
    struct buf out = {0};

    scan_safely(&doc, text_of(1));
    json_write_record(&doc, 0, "wo_1", &out);
    assert_written(&out, is_untouched, &expected);
    json_doc_fini(&doc);
}

static void merge_once(bool is_untouched)
{
    static struct buf expected;
    struct json_doc doc = {0}, patch = {0};
    struct buf out = {0};

    scan_safely(&doc, text_of(1));
    scan_safely(&patch, text_of(7));
    json_merge_patch(&doc, 0, &patch, 0, &out);
    assert_written(&out, is_untouched, &expected);
    json_doc_fini(&doc);
    json_doc_fini(&patch);
}

static void render_once(bool is_untouched)
{
    static struct buf expected;
    struct json_doc now = {0}, before = {0};
    struct event_body body = {
        .id = "evt_1", .event = "e", .record_id = "wo_1", .current = &now, .previous = &before};
    struct buf out = {0};

    scan_safely(&now, text_of(1));
    scan_safely(&before, text_of(7));
    event_body_write(&body, &out);
    assert_written(&out, is_untouched, &expected);
    json_doc_fini(&now);
    json_doc_fini(&before);
}

static void change_once(bool is_untouched)
{
    struct event_each each = {json_name_of("a"), json_name_of("b"), (char[]){"e.each"}};
    struct record_type type = {.each = &each, .each_count = 1};
    struct json_doc now = {0}, before = {0};
    struct change_event events[2 * MEMBERS];

    (void)is_untouched; /* no event is lost */
    scan_safely(&now, text_of(1));
    scan_safely(&before, text_of(7));
    assert_int_equal(change_events(&type, ACTION_UPDATED, &before, &now, events, 2 * MEMBERS),
                     MEMBERS - (MEMBERS + 6) / 7); /* what is no multiple of 7 */
    json_doc_fini(&now);
    json_doc_fini(&before);
}

static void scanning_without_memory_says_so(void **state)
{
    (void)state;
    with_every_failure(scan_once);
}

static void comparing_needs_no_memory(void **state)
{
    (void)state;
    with_every_failure(compare_once);
}

static void writing_without_memory_says_so(void **state)
{
    (void)state;
    with_every_failure(write_once);
}

static void merging_without_memory_says_so(void **state)
{
    (void)state;
    with_every_failure(merge_once);
}

static void an_event_body_is_whole_or_failed(void **state)
{
    (void)state;
    with_every_failure(render_once);
}

static void no_event_is_lost_for_want_of_memory(void **state)
{
    (void)state;
    with_every_failure(change_once);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanning_without_memory_says_so),
        cmocka_unit_test(comparing_needs_no_memory),
        cmocka_unit_test(writing_without_memory_says_so),
        cmocka_unit_test(merging_without_memory_says_so),
        cmocka_unit_test(an_event_body_is_whole_or_failed),
        cmocka_unit_test(no_event_is_lost_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
