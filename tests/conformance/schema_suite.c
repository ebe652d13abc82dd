/*
 * schema-suite: runs a folder of the JSON Schema Test Suite's files against our validator.
 *
 *     schema-suite DIR [--remotes DIR] [--assert-format]
 *
 * Every *.json file below DIR is an array of {description, schema, tests: [{description, data,
 * valid}]}. Remotes are files that stand for http://localhost:1234/. Prints each failure and ends
 * with "N passed, N failed"; exit 0 if none failed.
 */
#include "base/cleanup.h"
#include "schemas/schema.h"

#include <ftw.h>
#include <getopt.h>
#include <stdio.h>

#define REMOTE_URI "http://localhost:1234/"
#define REMOTES_MAX 1024
#define FILES_MAX 4096

struct remote {
    char *uri;
    struct buf text;
};

static struct {
    const char *remotes_dir;
    bool assert_format;
    struct remote remotes[REMOTES_MAX];
    size_t remote_count;
    char *files[FILES_MAX];
    size_t file_count;
    size_t passed, failed;
    struct schema_run *run;
} suite;

static bool read_text(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "rb");
    char chunk[65536];
    size_t len;
    if (!file)
        return false;
    while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_put(text, chunk, len);
    bool is_good = !ferror(file) && text->status == STATUS_OK;
    fclose(file);
    return is_good;
}

/* Texts are kept until the end, as schema_compile() wants it. */
static enum status resolve(void *context, struct bytes uri, struct bytes *ret_text)
{
    (void)context; /* there is one suite */
    size_t prefix = strlen(REMOTE_URI);
    for (size_t i = 0; i < suite.remote_count; i++) {
        if (bytes_equal_str(uri, suite.remotes[i].uri)) {
            *ret_text = buf_bytes(&suite.remotes[i].text);
            return STATUS_OK;
        }
    }
    if (!suite.remotes_dir || uri.len <= prefix || memcmp(uri.data, REMOTE_URI, prefix) != 0 ||
        suite.remote_count == REMOTES_MAX)
        return STATUS_NOT_FOUND;
    char path[4096];
    snprintf(path, sizeof(path), "%s/%.*s", suite.remotes_dir, (int)(uri.len - prefix),
             (const char *)uri.data + prefix);
    struct remote *remote = &suite.remotes[suite.remote_count];
    if (!read_text(path, &remote->text)) {
        buf_fini(&remote->text);
        return STATUS_NOT_FOUND;
    }
    remote->uri = bytes_dup_str(uri);
    suite.remote_count++;
    *ret_text = buf_bytes(&remote->text);
    return STATUS_OK;
}

static void print_string(const struct json_doc *doc, uint32_t object, const char *name)
{
    uint32_t node = json_member(doc, object, name);
    if (node != JSON_NONE)
        printf("%.*s", BYTES_ARG(json_raw(doc, node)));
}

static void fail(const char *path, const struct json_doc *doc, uint32_t group, uint32_t test,
                 const char *reason)
{
    suite.failed++;
    printf("FAILED %s: ", path);
    print_string(doc, group, "description");
    printf(": ");
    print_string(doc, test, "description");
    printf(": %s\n", reason);
}

static void run_test(const char *path, const struct json_doc *doc, uint32_t group, uint32_t test,
                     const struct schema *schema)
{
    uint32_t data = json_member(doc, test, "data"), expected = json_member(doc, test, "valid");
    if (data == JSON_NONE || expected == JSON_NONE) {
        fail(path, doc, group, test, "malformed test");
        return;
    }
    size_t count;
    bool is_expected = json_kind_of(doc, expected) == JSON_TRUE;
    enum status status = schema_check(schema, suite.run, doc, data, NULL);
    const struct violation *violations = schema_violations(suite.run, &count);
    if (status == STATUS_OK && !is_expected)
        fail(path, doc, group, test, "is valid, should not be");
    else if (status == STATUS_INVALID && is_expected)
        fail(path, doc, group, test, count ? (const char *)violations[0].detail.data : "?");
    else if (status == STATUS_INVALID && !count)
        fail(path, doc, group, test, "is invalid, without a violation");
    else if (status != STATUS_OK && status != STATUS_INVALID)
        fail(path, doc, group, test, status_text(status));
    else
        suite.passed++;
    (void)schema_unknown_members(schema, suite.run, doc, data, &count); /* must not crash */
}

static void run_group(const char *path, const struct json_doc *doc, uint32_t group)
{
    struct schema_options options = {.resolve = resolve, .assert_format = suite.assert_format};
    struct schema_fault fault;
    struct schema *schema = NULL;
    uint32_t tests = json_member(doc, group, "tests");
    uint32_t node = json_member(doc, group, "schema");
    if (tests == JSON_NONE || node == JSON_NONE) {
        fail(path, doc, group, group, "malformed group");
        return;
    }
    enum status status = schema_compile(doc, node, &options, &schema, &fault);
    for (uint32_t i = json_first(doc, tests); i != JSON_NONE; i = json_after(doc, tests, i)) {
        char reason[1024];
        snprintf(reason, sizeof(reason), "%s: %s: %s", status_text(status), buf_str(&fault.pointer),
                 fault.detail);
        if (status == STATUS_OK)
            run_test(path, doc, group, i, schema);
        else
            fail(path, doc, group, i, reason);
    }
    schema_fault_fini(&fault);
    schema_free(schema);
}

/* The scanner is stricter than the suite's files: some repeat "description", which gets another
 * name, and one has a lone surrogate in a string that no format allows, which becomes U+0000. */
static enum status scan_suite(struct buf *text, struct json_doc *doc, struct json_fault *fault)
{
    enum status status = json_scan(doc, buf_bytes(text), fault);
    for (int i = 0; i < 1000 && status == STATUS_INVALID; i++) {
        uint8_t *at = text->data + fault->offset;
        size_t left = text->len - fault->offset;
        if (strstr(fault->detail, "duplicate") && left > 2 && at[1] != '_')
            at[at[0] == '"'] = '_';
        else if (strstr(fault->detail, "surrogate") && left > 6 && at[0] == '\\')
            memcpy(at, "\\u0000", 6);
        else
            break;
        status = json_scan(doc, buf_bytes(text), fault);
    }
    return status;
}

static void run_file(const char *path)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    struct json_fault fault = {0};
    if (!read_text(path, &text) || scan_suite(&text, &doc, &fault) != STATUS_OK) {
        printf("FAILED %s: line %zu: %s\n", path, fault.line, fault.detail);
        suite.failed++;
        return;
    }
    for (uint32_t i = json_first(&doc, 0); i != JSON_NONE; i = json_after(&doc, 0, i))
        run_group(path, &doc, i);
}

static int note_file(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)at; /* the name is enough */
    size_t len = strlen(path);
    if (kind == FTW_F && len > 5 && strcmp(path + len - 5, ".json") == 0 &&
        suite.file_count < FILES_MAX)
        suite.files[suite.file_count++] = strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int usage(void)
{
    fprintf(stderr, "usage: schema-suite DIR [--remotes DIR] [--assert-format]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"remotes", required_argument, NULL, 'r'}, {"assert-format", no_argument, NULL, 'f'}, {0}};
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (option == 'r')
            suite.remotes_dir = optarg;
        else if (option == 'f')
            suite.assert_format = true;
        else
            return usage();
    }
    if (argc - optind != 1 || nftw(argv[optind], note_file, 16, FTW_PHYS) != 0)
        return usage();
    qsort(suite.files, suite.file_count, sizeof(suite.files[0]), by_name);
    suite.run = schema_run_new();
    if (!suite.run)
        return 1;
    for (size_t i = 0; i < suite.file_count; i++) {
        run_file(suite.files[i]);
        free(suite.files[i]);
    }
    for (size_t i = 0; i < suite.remote_count; i++) {
        free(suite.remotes[i].uri);
        buf_fini(&suite.remotes[i].text);
    }
    schema_run_free(suite.run);
    printf("%zu passed, %zu failed\n", suite.passed, suite.failed);
    return suite.failed ? 1 : 0;
}
