/*
 * json-suite DIR: runs a folder of JSONTestSuite's files through the scanner. y_ must be accepted
 * but for the files with duplicate names, n_ must be refused, and what the suite leaves open (i_)
 * must come out as docs/validation.md promises. Ends with "N passed, N failed".
 */
#include "schemas/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const DUPLICATES[] = {"y_object_duplicated_key.json",
                                         "y_object_duplicated_key_and_value.json"};

/* Of the i_ files these are accepted: numbers that a double holds or rounds; everything else there
 * is beyond its range, no valid UTF-8, a lone surrogate, a byte order mark, or nested too deep. */
static const char *const ACCEPTED[] = {
    "i_number_double_huge_neg_exp.json",   "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",       "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
};

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0)
            return true;
    }
    return false;
}

static bool must_accept(const char *name)
{
    if (name[0] == 'y')
        return !is_listed(name, DUPLICATES, sizeof DUPLICATES / sizeof DUPLICATES[0]);
    return name[0] == 'i' && is_listed(name, ACCEPTED, sizeof ACCEPTED / sizeof ACCEPTED[0]);
}

static bool is_case(const char *name)
{
    return (name[0] == 'y' || name[0] == 'n' || name[0] == 'i') && name[1] == '_';
}

/* True: as it must be. */
static bool run_case(const char *dir, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct buf text = {0};
    struct json_doc doc = {0};
    struct err err = {0};
    enum status s = json_read_file(path, 1u << 24, &text, &doc, &err);
    bool is_right = s == (must_accept(name) ? STATUS_OK : STATUS_INVALID);
    if (!is_right)
        printf("%s: %s: %s\n", name, must_accept(name) ? "refused" : "not refused", err.text);
    json_doc_fini(&doc);
    buf_fini(&text);
    return is_right;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: json-suite DIR\n");
        return 2;
    }
    unsigned passed = 0, failed = 0;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (!is_case(entry->d_name))
            continue;
        if (run_case(argv[1], entry->d_name))
            passed++;
        else
            failed++;
    }
    closedir(dir);
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
