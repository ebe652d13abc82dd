/*
 * schema_bench: how many work orders a second one core scans and checks.
 *
 *     schema_bench [SCHEMA DOCUMENT [SECONDS]]     default: the two files beside this one
 *
 * Measured apart: the strict scan, the check of a scanned document (formats asserted), both, and
 * with the search for unknown members; the shipped work order type, and an invalid document.
 */
#include "base/cleanup.h"
#include "base/must.h"
#include "schemas/record_type.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FILE_BYTES_MAX (16 * 1024 * 1024)
#define ROUND 2000

struct subject {
    struct bytes text;
    struct json_doc doc;
    const struct schema *schema;
    const struct record_type *type;
    struct schema_run *run;
};

static double now_s(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void scan(struct subject *s)
{
    struct json_fault fault;
    must(json_scan(&s->doc, s->text, &fault) == STATUS_OK);
}

static void check(struct subject *s)
{
    must(schema_check(s->schema, s->run, &s->doc, 0, NULL) == STATUS_OK);
}

static void scan_and_check(struct subject *s)
{
    scan(s);
    check(s);
}

static void check_invalid(struct subject *s)
{
    must(schema_check(s->schema, s->run, &s->doc, 0, NULL) == STATUS_INVALID);
}

static void check_type(struct subject *s)
{
    scan(s);
    must(record_type_check(s->type, s->run, &s->doc, NULL) == STATUS_OK);
}

static void check_and_find_unknown(struct subject *s)
{
    size_t count;
    scan(s);
    check(s);
    (void)schema_unknown_members(s->schema, s->run, &s->doc, 0, &count); /* the time is asked */
}

static void measure(const char *what, void (*step)(struct subject *), struct subject *s,
                    double seconds)
{
    double best = 0;
    for (double end = now_s() + seconds; now_s() < end;) {
        double start = now_s();
        for (int i = 0; i < ROUND; i++)
            step(s);
        double rate = ROUND / (now_s() - start);
        best = rate > best ? rate : best;
    }
    printf("%-48s %10.0f /s  %6.2f us\n", what, best, 1e6 / best);
}

static void read_file(const char *path, struct buf *text, struct json_doc *doc)
{
    struct err err;
    if (json_read_file(path, FILE_BYTES_MAX, text, doc, &err) != STATUS_OK) {
        fprintf(stderr, "schema_bench: %s\n", err.text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    CLEANUP(buf_fini) struct buf schema_text = {0};
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_doc_fini) struct json_doc schema_doc = {0};
    struct schema_options options = {.assert_format = true};
    struct schema_fault fault;
    struct schema *schema = NULL;
    struct record_types *types = NULL;
    struct err err = {0};
    struct subject s = {.run = schema_run_new()};
    double seconds = argc > 3 ? atof(argv[3]) : 1.0;
    read_file(argc > 2 ? argv[1] : BENCH_FILES "/workorder-22.schema.json", &schema_text,
              &schema_doc);
    read_file(argc > 2 ? argv[2] : BENCH_FILES "/workorder.json", &text, &s.doc);
    if (schema_compile(&schema_doc, 0, &options, &schema, &fault) != STATUS_OK) {
        fprintf(stderr, "schema_bench: %s: %s\n", buf_str(&fault.pointer), fault.detail);
        return 1;
    }
    s.text = buf_bytes(&text);
    s.schema = schema;
    printf("%zu bytes, schema of %zu bytes\n", s.text.len, schema_text.len);
    measure("strict scan", scan, &s, seconds);
    measure("check with formats", check, &s, seconds);
    measure("scan and check", scan_and_check, &s, seconds);
    measure("scan, check and unknown members", check_and_find_unknown, &s, seconds);
    if (record_types_load(SHIPPED_TYPES, &types, &err) == STATUS_OK) {
        s.type = record_types_find(types, bytes_of_str("workorder"));
        measure("scan and check, the shipped work order", check_type, &s, seconds);
    }
    s.text = bytes_of_str("{\"workOrderNumber\":\"1\",\"title\":\"x\",\"prioriy\":\"low\"}");
    measure("the same, a short one with an unknown member", check_and_find_unknown, &s, seconds);
    s.text = bytes_of_str("{\"workOrderNumber\":\"WO-1\",\"status\":\"oops\",\"scheduledStart\":"
                          "\"tomorrow\",\"location\":{\"lat\":100}}");
    scan(&s);
    measure("an invalid one with four violations", check_invalid, &s, seconds);
    record_types_unref(types);
    schema_free(schema);
    schema_run_free(s.run);
    json_doc_fini(&s.doc);
    return 0;
}
