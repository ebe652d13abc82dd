/*
 * store_bench: how many records a second the store takes, and how fast they are read.
 *
 *     store_bench [DIR [SECONDS [groups]]]     DIR: where to put the store (default /tmp)
 *
 * Each record is what one accepted POST writes: a revision of 677 bytes, its record key, its place
 * in the type, one event. Beside
 * it, in the same run, what LMDB does by itself with one appended row of that size: the bound that
 * the medium sets. "groups" leaves out reading.
 */
#include "base/clock.h"
#include "base/must.h"
#include "storage/events.h"
#include "storage/records.h"
#include "storage/table.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define BODY_BYTES 677
#define TYPE_NUMBER 1
#define SCAN_RECORDS 1000000

static uint8_t body_bytes[BODY_BYTES];
static uint64_t bare_number, key_number;

static double now_s(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_bare(struct txn *txn)
{
    struct bytes row = bytes_of(body_bytes, sizeof(body_bytes));
    uint8_t key[8];

    put_be64(key, ++bare_number);
    table_append_parts(txn, TABLE_REPORTS, bytes_of(key, sizeof(key)), &row, 1);
}

static void put_record(struct txn *txn)
{
    struct event event = {.time_ms = txn_now_ms(txn),
                          .name = bytes_of_str("workorder.created"),
                          .type = TYPE_NUMBER,
                          .record = txn_uuid(txn),
                          .revision = 1};
    char key[32];
    int key_len = snprintf(key, sizeof(key), "WO-%08llu", (unsigned long long)++key_number);
    struct revision revision = {.record = event.record,
                                .number = 1,
                                .type = TYPE_NUMBER,
                                .action = ACTION_CREATED,
                                .received_ms = txn_now_ms(txn),
                                .api_key = 1,
                                .event_count = 1,
                                .key = bytes_of(key, (size_t)key_len),
                                .body = bytes_of(body_bytes, sizeof(body_bytes))};
    struct uuid found;

    must(record_find_by_key(txn, TYPE_NUMBER, revision.key, &found) != STATUS_OK);
    event_append(txn, &event);
    revision.first_event = event.sequence;
    record_put(txn, &revision, bytes_of(NULL, 0));
}

static enum status group(struct store *store, unsigned count, void (*put)(struct txn *txn))
{
    struct txn *txn;
    enum status s = txn_write(store, clock_wall_ms(&SYSTEM_CLOCK), key_number, &txn);

    if (s != STATUS_OK)
        return s;
    for (unsigned i = 0; i < count; i++)
        put(txn);
    return txn_commit(txn);
}

static void group_growing(struct store *store, unsigned count, void (*put)(struct txn *txn))
{
    uint64_t first = key_number;
    enum status s = group(store, count, put);

    for (; s == STATUS_MAP_FULL; s = group(store, count, put)) {
        key_number = first;
        must(store_grow(store) == STATUS_OK);
    }
    must(s == STATUS_OK);
}

/* Bytes in write calls; the kernel's write_bytes counts whole folios. */
static double written_bytes(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[128];
    unsigned long long bytes = 0;

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "wchar: %llu", &bytes) == 1)
            break;
    if (file)
        (void)fclose(file);
    return (double)bytes;
}

static void measure(struct store *store, const char *what, unsigned count,
                    void (*put)(struct txn *txn), double seconds)
{
    double began = now_s(), took, written = written_bytes();
    uint64_t groups = 0;

    do {
        group_growing(store, count, put);
        groups++;
        took = now_s() - began;
    } while (took < seconds);
    written = written_bytes() - written;
    printf(
        "%-22s groups of %4u: %9.0f a second, %7.0f us and %5.0f KiB a group, %6.0f bytes each\n",
        what, count, (double)(groups * count) / took, took / (double)groups * 1e6,
        written / 1024 / (double)groups, written / (double)(groups * count));
}

static void measure_scan(struct store *store)
{
    struct record_page page = {.type = TYPE_NUMBER};
    struct revision revision;
    uint64_t count = 0, bytes = 0;
    struct txn *txn;
    double began;

    must(txn_read(store, &txn) == STATUS_OK);
    count = record_count(txn, TYPE_NUMBER);
    txn_abort(txn);
    for (; count < SCAN_RECORDS; count += 10000)
        group_growing(store, 10000, put_record);
    must(txn_read(store, &txn) == STATUS_OK);
    began = now_s();
    for (count = 0; count < SCAN_RECORDS; count++) {
        must(record_page_next(txn, &page, &revision) == STATUS_OK);
        bytes += revision.body.len;
    }
    printf("record_page_next       %llu records, %llu MB: %.3f s\n", (unsigned long long)count,
           (unsigned long long)(bytes >> 20), now_s() - began);
    record_page_end(&page);
    txn_abort(txn);
}

static void measure_get(struct store *store)
{
    double began = now_s(), took;
    uint64_t count = 0;

    do {
        for (int i = 0; i < 1000; i++, count++) { /* all over the keys */
            struct revision revision;
            struct uuid id;
            struct txn *txn;
            char key[32];
            int key_len = snprintf(key, sizeof(key), "WO-%08llu",
                                   (unsigned long long)(key_number - count * 7919 % SCAN_RECORDS));

            must(txn_read(store, &txn) == STATUS_OK);
            must(record_find_by_key(txn, TYPE_NUMBER, bytes_of(key, (size_t)key_len), &id) ==
                 STATUS_OK);
            must(record_current(txn, &id, &revision) == STATUS_OK);
            txn_abort(txn);
        }
        took = now_s() - began;
    } while (took < 1);
    printf("read, find, current    %.0f a second\n", (double)count / took);
}

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = {1, 16, 128, 1000};
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    struct store_options options = {0};
    struct store *store;
    struct err err = {0};
    char dir[256];

    (void)snprintf(dir, sizeof(dir), "%s/postern-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    options.dir = mkdtemp(dir);
    must(options.dir != NULL);
    memset(body_bytes, 'x', sizeof(body_bytes));
    body_bytes[0] = 1; /* a row's version, for the bare ones */
    if (store_open(&options, &store, &err) != STATUS_OK) {
        (void)fprintf(stderr, "store_bench: %s\n", err.text);
        return 1;
    }
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        measure(store, "one bare appended row", sizes[i], put_bare, seconds);
        measure(store, "one record", sizes[i], put_record, seconds);
    }
    if (argc < 4) {
        measure_scan(store);
        measure_get(store);
    }
    store_close(store);
    return nftw(dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : 1;
}
