/*
 * The main of a fuzz target in the normal test run: gives it every file of the folders named, once.
 * Whatever a fuzzer ever found lies there. A target says what is wrong by aborting. TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define INPUT_BYTES_MAX (1u << 20)

/* False: it cannot be read. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data, *exact;
    size_t len;

    if (!file)
        return 0;
    data = malloc(INPUT_BYTES_MAX);
    if (!data)
        abort();
    len = fread(data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    exact = malloc(len ? len : 1); /* so that the sanitizer sees a byte too far */
    if (!exact)
        abort();
    memcpy(exact, data, len);
    free(data);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 1;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    int cases = 0;

    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int count = scandir(argv[i], &entries, is_visible, by_name);

        for (int j = 0; j < count; j++) {
            char path[4096];

            snprintf(path, sizeof path, "%s/%s", argv[i], entries[j]->d_name);
            printf("# %s\n", entries[j]->d_name); /* the last one told is the one that aborts */
            fflush(stdout);
            cases += replay(path);
            free(entries[j]);
        }
        if (count >= 0)
            free(entries);
    }
    printf("%s 1 - %d inputs\n1..1\n", cases ? "ok" : "not ok", cases);
    return cases ? 0 : 1;
}
