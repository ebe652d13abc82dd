/*
 * json_bench: scanning and writing one document, beside cJSON doing the same, in one run.
 *
 *     json_bench [FILE]        default: the work order of 677 bytes
 *
 * Processor time; rounds take turns and the best of each counts, so that both meet the same noise.
 * cJSON does less: it takes duplicate names, broken UTF-8 and numbers it cannot hold, and its text
 * is not canonical.
 */
#include "base/must.h"
#include "schemas/json_write.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS 15
#define ROUND_BYTES 20000000 /* of text, in each round */

struct subject {
    struct bytes text;
    struct json_doc doc;
    struct buf out;
    cJSON *tree;
};

static void scan(struct subject *s)
{
    struct json_fault fault;

    must(json_scan(&s->doc, s->text, &fault) == STATUS_OK);
}

static void write(struct subject *s)
{
    buf_clear(&s->out);
    json_write(&s->doc, json_root(&s->doc), &s->out);
    must(s->out.status == STATUS_OK);
}

static void scan_cjson(struct subject *s)
{
    cJSON *tree = cJSON_ParseWithLength((const char *)s->text.data, s->text.len);

    must(tree != NULL);
    cJSON_Delete(tree);
}

static void write_cjson(struct subject *s)
{
    char *text = cJSON_PrintUnformatted(s->tree);

    must(text != NULL);
    cJSON_free(text);
}

static const struct {
    const char *name;
    void (*run)(struct subject *s);
} CASES[] = {
    {"json_scan", scan},
    {"cJSON_Parse", scan_cjson},
    {"json_write", write},
    {"cJSON_Print", write_cjson},
};
#define CASE_COUNT (sizeof CASES / sizeof CASES[0])

static double now_s(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds for one document. */
static double measure(struct subject *s, void (*run)(struct subject *s))
{
    size_t times = ROUND_BYTES / s->text.len + 1;
    double start = now_s();

    for (size_t i = 0; i < times; i++)
        run(s);
    return (now_s() - start) / (double)times;
}

int main(int argc, char **argv)
{
    struct subject s = {0};
    struct json_doc doc = {0};
    struct buf text = {0};
    struct err err = {0};
    double best[CASE_COUNT] = {0};

    if (json_read_file(argc > 1 ? argv[1] : BENCH_FILES "/workorder.json", 1u << 28, &text, &doc,
                       &err) != STATUS_OK) {
        fprintf(stderr, "json_bench: %s\n", err.text);
        return 1;
    }
    s.text = buf_bytes(&text);
    s.tree = cJSON_ParseWithLength((const char *)s.text.data, s.text.len);
    must(s.tree != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CASE_COUNT; i++) {
            double seconds = measure(&s, CASES[i].run);

            if (round == 0 || seconds < best[i])
                best[i] = seconds;
        }
    }
    printf("%zu bytes\n%-14s %12s %10s\n", s.text.len, "", "a second", "MB/s");
    for (size_t i = 0; i < CASE_COUNT; i++)
        printf("%-14s %12.0f %10.0f\n", CASES[i].name, 1 / best[i],
               (double)s.text.len / best[i] / 1e6);
    printf("scan %.1f times as fast as cJSON, write %.1f times\n", best[1] / best[0],
           best[3] / best[2]);
    cJSON_Delete(s.tree);
    json_doc_fini(&s.doc);
    json_doc_fini(&doc);
    buf_fini(&s.out);
    buf_fini(&text);
    return 0;
}
