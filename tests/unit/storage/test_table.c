/* table: checks, views, cursors; and rows in which a bit was flipped. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/api_keys.h"
#include "storage/events.h"
#include "storage/idempotency.h"
#include "storage/records.h"
#include "storage/txn.h"

static struct bytes K(const char *text) {
    return bytes_of_str(text);
}

/* ---- views and cursors ---- */

static void
a_row_read_in_a_write_transaction_stays_as_it_was_read(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct bytes row;

    for (char c = 'a'; c < 'z'; c++)
        table_put(txn, TABLE_REPORTS, bytes_of(&c, 1), K("\001a row of some length"));
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("k"), &row), STATUS_OK);
    for (char c = 'a'; c < 'z'; c++)
        table_put(txn, TABLE_REPORTS, bytes_of(&c, 1), K("\001other"));
    assert_bytes_equal(row, "\001a row of some length");
    table_put(txn, TABLE_REPORTS, K("k"), row);
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("k"), &row), STATUS_OK);
    assert_bytes_equal(row, "\001a row of some length");
    txn_abort(txn);
}

static void appending_out_of_order_is_a_put(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct bytes row = K("\001x"), got;

    table_append_parts(txn, TABLE_REPORTS, K("b"), &row, 1);
    table_append_parts(txn, TABLE_REPORTS, K("a"), &row, 1);
    row = K("\001y");
    table_append_parts(txn, TABLE_REPORTS, K("b"), &row, 1);
    fixture_commit(txn);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 2);
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("b"), &got), STATUS_OK);
    assert_bytes_equal(got, "\001y");
    txn_abort(txn);
}

static void a_cursor_goes_both_ways_and_ends(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct table_cursor c = {0};

    assert_int_equal(table_cursor_open(&c, txn, TABLE_REPORTS, K("")), STATUS_END);
    table_cursor_close(&c);
    table_cursor_close(&c);
    assert_int_equal(table_cursor_open_before(&c, txn, TABLE_REPORTS, K("")), STATUS_END);
    table_cursor_close(&c);
    table_put(txn, TABLE_REPORTS, K("b"), K("\001b"));
    table_put(txn, TABLE_REPORTS, K("d"), K("\001d"));
    assert_int_equal(table_cursor_open(&c, txn, TABLE_REPORTS, K("c")), STATUS_OK);
    assert_bytes_equal(c.key, "d");
    assert_int_equal(table_cursor_next(&c), STATUS_END);
    assert_int_equal(table_cursor_seek_before(&c, K("d")), STATUS_OK);
    assert_bytes_equal(c.row, "\001b");
    assert_int_equal(table_cursor_previous(&c), STATUS_END);
    assert_int_equal(table_cursor_seek_before(&c, K("b")), STATUS_END);
    assert_int_equal(table_cursor_seek_before(&c, K("z")), STATUS_OK);
    assert_bytes_equal(c.key, "d");
    assert_int_equal(table_cursor_seek(&c, K("e")), STATUS_END);
    table_cursor_close(&c);
    txn_abort(txn);
}

static void deleting_at_a_cursor_goes_on_with_the_next_row(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct table_cursor c = {0};
    unsigned seen = 0;
    enum status s;

    for (unsigned i = 0; i < 1000; i++) {
        uint8_t key[4];

        put_be32(key, i);
        table_put(txn, TABLE_REPORTS, bytes_of(key, 4), K("\001 some text, so that pages fill"));
    }
    for (s = table_cursor_open(&c, txn, TABLE_REPORTS, K("")); s == STATUS_OK;
         s = table_cursor_next(&c), seen++) {
        assert_int_equal(get_be32(c.key.data), seen);
        if (seen % 3 != 0)
            assert_int_equal(table_cursor_delete(&c), STATUS_OK);
    }
    assert_int_equal(s, STATUS_END);
    assert_int_equal(seen, 1000);
    table_cursor_close(&c);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 334);
    fixture_commit(txn);
}

/* ---- flipped bits ---- */

/* The stored bytes, past the table layer; what a disk can do. */
static void put_raw(struct txn *txn, enum table table, struct bytes key, struct bytes row)
{
    MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v = {row.len, (void *)(uintptr_t)row.data};

    assert_int_equal(mdb_put(txn->lmdb, txn->store->dbis[table], &k, &v, 0), 0);
}

static size_t get_raw(struct txn *txn, enum table table, struct bytes key, uint8_t *out,
                      size_t size)
{
    MDB_val k = {key.len, (void *)(uintptr_t)key.data}, v;

    assert_int_equal(mdb_get(txn->lmdb, txn->store->dbis[table], &k, &v), 0);
    assert_true(v.mv_size <= size);
    memcpy(out, v.mv_data, v.mv_size);
    return v.mv_size;
}

#define ROW_MAX 8192

static struct uuid the_record, the_event;
static uint8_t the_name[SHA256_BYTES];

/* One row in each table that has a codec of its own here. */
static void fill(struct fixture *f)
{
    struct txn *txn = fixture_write(f);
    struct type_row type;
    struct event event = {.time_ms = 5,
                          .name = K("employee.assigned"),
                          .type = 1,
                          .revision = 1,
                          .each_member = K("assignments"),
                          .data = K("{}")};
    struct api_key key = {.label = "ERP", .scope_count = 1, .scopes = {"*:write"}, .cidr_count = 1};
    struct idempotent_answer answer = {.http_status = 200,
                                       .at_ms = txn_now_ms(txn),
                                       .content_type = K("application/json"),
                                       .body = K("{}")};
    struct revision revision = {.number = 1,
                                .type = 1,
                                .action = ACTION_CREATED,
                                .key = K("WO-1"),
                                .body = K("{\"workOrderNumber\":\"WO-1\"}")};

    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    revision.record = event.record = the_record = txn_uuid(txn);
    record_put(txn, &revision, bytes_of(NULL, 0));
    event_append(txn, &event);
    the_event = event.id;
    api_key_put(txn, &key);
    usage_add(txn, 1, 1000, 1);
    idempotency_put(txn, 1, the_name, &answer);
    fixture_commit(txn);
}

static void ignore_usage(void *context, int64_t at_ms, uint32_t count)
{
    (void)context;
    (void)at_ms;
    (void)count;
}

/* Every way in which rows are read; answers are fine, an outcome or STATUS_CORRUPT, never a crash.
 */
static unsigned read_everything(struct fixture *f)
{
    struct txn *txn = fixture_read(f);
    struct record_page page = {.type = 1, .has_deleted = true};
    struct idempotent_answer answer;
    struct revision revision;
    struct api_key key;
    struct type_row type;
    struct event event;
    struct uuid id;
    uint32_t number = 0;
    enum status all[] = {
        type_find(txn, K("workorder"), &type),
        type_at(txn, 1, &type),
        record_find_by_key(txn, 1, K("WO-1"), &id),
        record_current(txn, &the_record, &revision),
        record_revision(txn, &the_record, 1, &revision),
        record_page_next(txn, &page, &revision),
        event_at(txn, 1, &event),
        event_find(txn, &the_event, &event),
        api_key_at(txn, 1, &key),
        api_key_next(txn, &number, &key),
        usage_each(txn, 1, 0, ignore_usage, NULL),
        idempotency_find(txn, 1, the_name, &answer),
    };
    unsigned corrupt = 0;

    record_page_end(&page);
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
        assert_true(all[i] >= 0 || all[i] == STATUS_CORRUPT);
        corrupt += all[i] == STATUS_CORRUPT;
    }
    assert_int_equal(txn_status(txn), STATUS_OK); /* does not stick to a reader */
    txn_abort(txn);
    return corrupt;
}

struct victim {
    enum table table;
    size_t key_len, row_len;
    uint8_t key[TABLE_KEY_MAX];
    uint8_t row[ROW_MAX];
};

static bool victim_of(struct fixture *f, enum table table, struct victim *v)
{
    struct txn *txn = fixture_read(f);
    struct table_cursor c = {0};
    bool is_there = table_cursor_open(&c, txn, table, K("")) == STATUS_OK;

    if (is_there) {
        v->table = table;
        v->key_len = c.key.len;
        memcpy(v->key, c.key.data, c.key.len);
        v->row_len = get_raw(txn, table, c.key, v->row, sizeof(v->row));
    }
    table_cursor_close(&c);
    txn_abort(txn);
    return is_there;
}

static void store_victim(struct fixture *f, const struct victim *v)
{
    struct txn *txn = fixture_write(f);

    put_raw(txn, v->table, bytes_of(v->key, v->key_len), bytes_of(v->row, v->row_len));
    fixture_commit(txn);
}

static void each_table(struct fixture *f, void (*each)(struct fixture *f, struct victim *v))
{
    struct victim v;
    unsigned tables = 0;

    fill(f);
    for (enum table t = 0; t < TABLE_COUNT; t++) {
        if (!victim_of(f, t, &v))
            continue;
        each(f, &v);
        store_victim(f, &v); /* as it was */
        tables++;
    }
    assert_true(tables >= 11);
    assert_int_equal(read_everything(f), 0);
}

static void flip_in_row(struct fixture *f, struct victim *v)
{
    struct bytes row, key = bytes_of(v->key, v->key_len);

    for (size_t bit = 0; bit < v->row_len * 8; bit++) {
        struct txn *txn;

        v->row[bit / 8] ^= (uint8_t)(1 << bit % 8);
        txn = fixture_write(f);
        put_raw(txn, v->table, key, bytes_of(v->row, v->row_len));
        assert_int_equal(table_get(txn, v->table, key, &row), STATUS_CORRUPT);
        assert_int_equal(txn_status(txn), STATUS_CORRUPT); /* sticks to a writer */
        txn_abort(txn);
        v->row[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void every_flipped_bit_of_a_row_is_corrupt(void **state)
{
    each_table(*state, flip_in_row);
}

static void flip_in_key(struct fixture *f, struct victim *v)
{
    for (size_t bit = 0; bit < v->key_len * 8; bit++) {
        struct bytes key = bytes_of(v->key, v->key_len), row;
        struct txn *txn = fixture_write(f);

        v->key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_raw(txn, v->table, key, bytes_of(v->row, v->row_len));
        assert_int_equal(table_get(txn, v->table, key, &row), STATUS_CORRUPT);
        txn_abort(txn);
        v->key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void every_flipped_bit_of_a_key_is_corrupt(void **state)
{
    each_table(*state, flip_in_key);
}

static void cut_row(struct fixture *f, struct victim *v)
{
    size_t whole = v->row_len;

    for (v->row_len = 0; v->row_len < whole; v->row_len++) {
        store_victim(f, v);
        (void)read_everything(f);
    }
}

static void a_row_cut_short_anywhere_crashes_nothing(void **state)
{
    each_table(*state, cut_row);
}

/* As a program with a fault might have written it: the check is right, the row is not. */
static void flip_with_check(struct fixture *f, struct victim *v)
{
    struct victim bad = *v;
    size_t len = v->row_len - ROW_CHECK_BYTES;

    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(bad.row, v->row, v->row_len);
        bad.row[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_be32(bad.row + len, row_check(bytes_of(v->key, v->key_len), bytes_of(bad.row, len)));
        if (bit < 8 || bit % 5 == 0) { /* a commit each: enough of them */
            store_victim(f, &bad);
            (void)read_everything(f);
        }
    }
}

static void a_wrong_row_with_a_right_check_crashes_nothing(void **state)
{
    each_table(*state, flip_with_check);
}

static void a_reader_goes_on_behind_a_corrupt_row(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct table_cursor c = {0};

    table_put(txn, TABLE_REPORTS, K("a"), K("\001a"));
    put_raw(txn, TABLE_REPORTS, K("b"), K("\001nonsense"));
    table_put(txn, TABLE_REPORTS, K("c"), K("\001c"));
    fixture_commit(txn);
    txn = fixture_read(f);
    assert_int_equal(table_cursor_open(&c, txn, TABLE_REPORTS, K("")), STATUS_OK);
    assert_int_equal(table_cursor_next(&c), STATUS_CORRUPT);
    assert_bytes_equal(c.key, "b");
    assert_int_equal(c.row.len, 0);
    assert_int_equal(table_cursor_next(&c), STATUS_OK);
    assert_bytes_equal(c.row, "\001c");
    table_cursor_close(&c);
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_row_read_in_a_write_transaction_stays_as_it_was_read),
        STORE_TEST(appending_out_of_order_is_a_put),
        STORE_TEST(a_cursor_goes_both_ways_and_ends),
        STORE_TEST(deleting_at_a_cursor_goes_on_with_the_next_row),
        STORE_TEST(every_flipped_bit_of_a_row_is_corrupt),
        STORE_TEST(every_flipped_bit_of_a_key_is_corrupt),
        STORE_TEST(a_row_cut_short_anywhere_crashes_nothing),
        STORE_TEST(a_wrong_row_with_a_right_check_crashes_nothing),
        STORE_TEST(a_reader_goes_on_behind_a_corrupt_row),
    };

    return cmocka_run_group_tests_name("storage/table", tests, NULL, NULL);
}
