/*
 * Fuzz target: the canonical form, looking things up, merging. The input is a document; or two,
 * with a byte 0xff (never in a document) between them, the second a patch of the first.
 */
#include "schemas/json_write.h"
#include "schemas/decimal.h"

#include "base/must.h"

#include <math.h>
#include <stdlib.h>

#define NODES_LOOKED_UP 200 /* each costs a walk */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must_scan(struct json_doc *doc, const struct buf *text)
{
    struct json_fault fault;

    must(text->status == STATUS_OK);
    must(json_scan(doc, buf_bytes(text), &fault) == STATUS_OK);
}

static double double_of(struct bytes number)
{
    char *text = bytes_dup_str(number);
    double value;

    must(text != NULL);
    value = strtod(text, NULL);
    free(text);
    return value;
}

static void check_number(struct bytes number)
{
    struct buf out = {0}, shortest = {0};
    double value = double_of(number);

    must(isfinite(value) && decimal_is_in_range(number));
    json_put_number(&out, number);
    must(decimal_compare(number, buf_bytes(&out)) == 0);
    json_put_double(&shortest, value);
    must(double_of(buf_bytes(&shortest)) == value);
    must(decimal_fits_double(buf_bytes(&shortest)));
    if (decimal_fits_double(number)) {
        must(bytes_equal(buf_bytes(&out), buf_bytes(&shortest)));
    } else {
        must(bytes_equal(buf_bytes(&out), number));
        must(decimal_compare(number, buf_bytes(&shortest)) != 0);
    }
    buf_fini(&out);
    buf_fini(&shortest);
}

/* Doubles may coincide where decimals differ, but not the other way round. */
static void check_order(struct bytes a, struct bytes b)
{
    double x = double_of(a), y = double_of(b);
    int order = decimal_compare(a, b);

    must(order == -decimal_compare(b, a));
    must(order > 0 ? x >= y : order < 0 ? x <= y : x == y);
    if (decimal_compare(b, bytes_of_str("0")) > 0 && decimal_compare(a, b) == 0)
        must(decimal_is_multiple(a, b));
}

static void check_numbers(const struct json_doc *doc)
{
    struct bytes before = bytes_of_str("1");

    for (uint32_t i = 0; i < doc->node_count; i++) {
        if (doc->nodes[i].kind != JSON_NUMBER)
            continue;
        check_number(json_raw(doc, i));
        check_order(json_raw(doc, i), before);
        before = json_raw(doc, i);
    }
}

static void check_lookups(const struct json_doc *doc)
{
    struct buf pointer = {0};

    for (uint32_t i = 0; i < doc->node_count && i < NODES_LOOKED_UP; i++) {
        uint32_t found;

        if (doc->nodes[i].flags & JSON_IS_NAME)
            continue;
        buf_clear(&pointer);
        json_pointer_of(doc, i, &pointer);
        must(json_pointer_find(doc, buf_bytes(&pointer), &found) == STATUS_OK && found == i);
    }
    buf_fini(&pointer);
}

static void check_canonical(const struct json_doc *doc, uint32_t node)
{
    struct json_doc again = {0};
    struct buf out = {0}, out_again = {0};

    json_write(doc, node, &out);
    must_scan(&again, &out);
    must(json_equal(doc, node, &again, 0) && json_equal(&again, 0, doc, node));
    json_write(&again, 0, &out_again);
    must(bytes_equal(buf_bytes(&out), buf_bytes(&out_again)));
    if (json_kind_of(doc, node) == JSON_OBJECT) {
        buf_clear(&out);
        json_write_record(doc, node, "wo_1", &out);
        must_scan(&again, &out);
        must(json_string_equals(&again, json_member(&again, 0, "id"), bytes_of_str("wo_1")));
    }
    json_doc_fini(&again);
    buf_fini(&out);
    buf_fini(&out_again);
}

/* Patching twice is patching once. */
static void check_merge(const struct json_doc *target, const struct json_doc *patch)
{
    struct json_doc merged = {0};
    struct buf once = {0}, twice = {0};

    json_merge_patch(target, json_root(target), patch, 0, &once);
    must_scan(&merged, &once);
    json_merge_patch(&merged, 0, patch, 0, &twice);
    must(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    json_doc_fini(&merged);
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *middle = len ? memchr(data, 0xff, len) : NULL;
    size_t first_len = middle ? (size_t)(middle - data) : len;
    struct json_doc doc = {0}, patch = {0};
    struct json_fault fault;

    if (json_scan(&doc, bytes_of(data, first_len), &fault) == STATUS_OK) {
        check_numbers(&doc);
        check_lookups(&doc);
        check_canonical(&doc, json_root(&doc));
        check_merge(&doc, &doc);
    }
    if (middle && json_scan(&patch, bytes_of(middle + 1, len - first_len - 1), &fault) == STATUS_OK)
        check_merge(&doc, &patch);
    json_doc_fini(&doc);
    json_doc_fini(&patch);
    return 0;
}
