/*
 * stored rows: a flipped bit anywhere in one is an error, never a crash: whoever reads the row says
 * so, and `store check` finds it. So it is with rows that were cut or have grown. And of rows that
 * are wrong under a right check, which only a fault of our own could write, nobody dies.
 */
#include "stored_rows.h"

static int setup(void **state)
{
    static struct stored_rows rows; /* large */
    void *t;

    if (temporary_store_setup(&t) != 0)
        return -1;
    stored_rows_make(&rows, t);
    *state = &rows;
    return 0;
}

static int teardown(void **state)
{
    void *t = ((struct stored_rows *)*state)->t;

    return temporary_store_teardown(&t);
}

/* ---- what the check says of them ---- */

static void count_damaged(void *context, const char *text)
{
    unsigned *count = context;

    *count += strstr(text, ": does not match its check") != NULL;
}

static void assert_check_finds(struct stored_rows *rows, unsigned count)
{
    struct check_report report;
    unsigned found = 0;

    assert_int_equal(store_check(rows->t->store, count_damaged, NULL, &found, &report), STATUS_OK);
    assert_int_equal(found, count);
    assert_true(count > 0 || report.problem_count == 0);
}

/* Damages one row; false: this row has no such place. */
typedef bool damage_row(struct txn *txn, const struct stored_row *row, size_t place);

/* The first place in every row at once, then the second, to the last place of the longest row. */
static void damage_each_place(struct stored_rows *rows, damage_row *damage, size_t places_min)
{
    unsigned count = 1;
    size_t place;

    for (place = 0; count > 0; place++) {
        struct txn *txn = begin_write(rows->t);

        count = 0;
        for (size_t i = 0; i < rows->count; i++)
            count += damage(txn, &rows->all[i], place);
        commit(txn);
        assert_check_finds(rows, count);
        assert_true(stored_rows_read(rows) > 0 || count < rows->count);
        stored_rows_put_back(rows);
    }
    assert_true(place > places_min);
    assert_check_finds(rows, 0);
    assert_int_equal(stored_rows_read(rows), 0);
}

static bool flip_in_value(struct txn *txn, const struct stored_row *row, size_t bit)
{
    struct stored_row bad = *row;

    if (bit >= row->len * 8)
        return false;
    bad.value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    return stored_row_put(txn, row, stored_key(row), stored_value(&bad));
}

static void every_flipped_bit_of_a_value_is_found(void **state)
{
    damage_each_place(*state, flip_in_value, (size_t)8 * DELIVERED_BLOCK_BYTES);
}

static bool flip_in_key(struct txn *txn, const struct stored_row *row, size_t bit)
{
    struct stored_row bad = *row;

    if (bit >= row->key_len * 8)
        return false;
    bad.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    return stored_row_put(txn, row, stored_key(&bad), stored_value(row));
}

static void every_flipped_bit_of_a_key_is_found(void **state)
{
    damage_each_place(*state, flip_in_key, (size_t)8 * 400);
}

static bool cut_value(struct txn *txn, const struct stored_row *row, size_t len)
{
    return len < row->len && stored_row_put(txn, row, stored_key(row), bytes_of(row->value, len));
}

static void a_value_cut_anywhere_is_found(void **state)
{
    damage_each_place(*state, cut_value, DELIVERED_BLOCK_BYTES);
}

#define GROWTH_MAX 64

static bool grow_value(struct txn *txn, const struct stored_row *row, size_t more)
{
    struct stored_row bad = *row;

    must(row->len + GROWTH_MAX <= sizeof bad.value);
    bad.len += more + 1;
    return more < GROWTH_MAX && stored_row_put(txn, row, stored_key(row), stored_value(&bad));
}

static void a_value_that_has_grown_is_found(void **state)
{
    damage_each_place(*state, grow_value, GROWTH_MAX);
}

/* ---- what readers and writers say of them ---- */

/* The one row that is read where a store is opened, and never again. */
static bool is_of_opening(const struct stored_row *row)
{
    return row->table == TABLE_META && bytes_equal_str(stored_key(row), "format");
}

static void whoever_uses_a_damaged_row_says_so(void **state)
{
    struct stored_rows *rows = *state;

    for (size_t i = 0; i < rows->count; i++) {
        const struct stored_row *row = &rows->all[i];
        size_t bits[] = {0, row->len * 4, row->len * 8 - 1};

        for (size_t j = 0; j < COUNT(bits) && !is_of_opening(row); j++) {
            struct txn *txn = begin_write(rows->t);

            assert_true(flip_in_value(txn, row, bits[j]));
            commit(txn);
            assert_check_finds(rows, 1);
            if (stored_rows_read(rows) + stored_rows_change(rows, false) == 0)
                fail_msg("%s, row %zu: nobody saw that bit %zu is flipped", TABLE_NAMES[row->table],
                         i, bits[j]);
            txn = begin_write(rows->t);
            assert_true(stored_row_put(txn, row, stored_key(row), stored_value(row)));
            commit(txn);
        }
    }
    assert_check_finds(rows, 0);
    assert_int_equal(stored_rows_read(rows) + stored_rows_change(rows, false), 0);
}

static void a_store_whose_format_is_damaged_does_not_open(void **state)
{
    struct stored_rows *rows = *state;
    struct store_options options = {.dir = rows->t->dir, .mode = STORE_SERVE};
    struct txn *txn = begin_write(rows->t);
    struct err err = {0};
    unsigned flipped = 0;

    for (size_t i = 0; i < rows->count; i++)
        if (is_of_opening(&rows->all[i]))
            flipped += flip_in_value(txn, &rows->all[i], 17);
    assert_int_equal(flipped, 1);
    commit(txn);
    store_close(rows->t->store);
    assert_int_equal(store_open(&options, &rows->t->store, &err), STATUS_CORRUPT);
    assert_null(rows->t->store);
}

static void ignore_problem(void *context, const char *text)
{
    (void)context;
    (void)text;
}

/* Whatever the check makes of it, it comes to an end. */
static void use_all(struct stored_rows *rows)
{
    struct check_report report;

    (void)stored_rows_read(rows);
    (void)stored_rows_change(rows, false);
    assert_int_equal(store_check(rows->t->store, ignore_problem, NULL, NULL, &report), STATUS_OK);
}

static void a_wrong_row_with_a_right_check_kills_nobody(void **state)
{
    static const uint8_t flips[] = {0x01, 0xff};
    struct stored_rows *rows = *state;

    for (size_t i = 0; i < rows->count; i++) {
        const struct stored_row *row = &rows->all[i];

        if (i > 0 && row->table == rows->all[i - 1].table && i % 4 != 0)
            continue; /* the first of each table, and some */
        for (size_t at = 0; at + ROW_CHECK_BYTES < row->len; at++) {
            struct stored_row bad = *row;
            struct txn *txn = begin_write(rows->t);

            bad.value[at] ^= flips[at % COUNT(flips)];
            (void)stored_check_put(stored_key(&bad), bad.value, bad.len - ROW_CHECK_BYTES);
            assert_true(stored_row_put(txn, row, stored_key(row), stored_value(&bad)));
            commit(txn);
            use_all(rows);
        }
        stored_rows_put_back(rows);
    }
}

static void a_row_with_the_fields_of_another_kills_nobody(void **state)
{
    struct stored_rows *rows = *state;

    for (size_t i = 0; i < rows->count; i++) {
        const struct stored_row *row = &rows->all[i];

        for (size_t j = i % 5; j < rows->count; j += 5) {
            struct stored_row bad = rows->all[j];
            struct txn *txn = begin_write(rows->t);

            struct bytes value =
                stored_check_put(stored_key(row), bad.value, bad.len - ROW_CHECK_BYTES);
            assert_true(stored_row_put(txn, row, stored_key(row), value));
            commit(txn);
            use_all(rows);
        }
        stored_rows_put_back(rows);
    }
}

int main(void)
{
#define ON_ROWS(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_ROWS(every_flipped_bit_of_a_value_is_found),
        ON_ROWS(every_flipped_bit_of_a_key_is_found),
        ON_ROWS(a_value_cut_anywhere_is_found),
        ON_ROWS(a_value_that_has_grown_is_found),
        ON_ROWS(whoever_uses_a_damaged_row_says_so),
        ON_ROWS(a_store_whose_format_is_damaged_does_not_open),
        ON_ROWS(a_wrong_row_with_a_right_check_kills_nobody),
        ON_ROWS(a_row_with_the_fields_of_another_kills_nobody),
    };
    return cmocka_run_group_tests_name("storage/stored_rows", tests, NULL, NULL);
}
