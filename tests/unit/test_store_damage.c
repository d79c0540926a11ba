/* Data files that are not as the store left them: cut, altered, or no data at all. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void garbage_instead_of_data_is_an_error_with_a_name(void **state)
{
    static uint8_t junk[1 << 16];
    uint64_t seed = scratch_seed();
    char text[4200];
    const size_t sizes[] = {1, 100, 4095, 4096, 8192, sizeof junk};
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)scratch_random(&seed);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        text[0] = 0;
        write_file(*state, "data.mdb", junk, sizes[i]);
        assert_int_equal(open_rc(*state, text, sizeof text), STORE_DAMAGED);
        assert_non_null(strstr(text, *state));
    }
    memset(junk, 0, sizeof junk);
    write_file(*state, "data.mdb", junk, sizeof junk);
    assert_int_equal(open_rc(*state, text, sizeof text), STORE_DAMAGED);
}

static uint64_t data_bytes(const char *dir)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void cut_data(const char *dir, uint64_t n)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    assert_int_equal(truncate(path, (off_t)n), 0);
}

/* Rows of all sizes, some of them deleted again. */
static void fill(struct store *store)
{
    static uint8_t bytes[9000];
    uint64_t seed = 1;
    for (int round = 0; round < 4; round++) {
        struct store_txn *txn = begin(store);
        for (uint16_t i = 0; i < 60; i++) {
            uint8_t key[2];
            be16_put(key, i);
            if (round > 0 && scratch_random(&seed) % 3 == 0) {
                (void)store_del(txn, TABLE_APP, slice_of(key, 2));
                continue;
            }
            size_t n = scratch_random(&seed) % sizeof bytes;
            assert_int_equal(store_put(txn, TABLE_APP, slice_of(key, 2), slice_of(bytes, n)),
                             STORE_OK);
        }
        assert_int_equal(store_commit(txn), STORE_OK);
    }
}

static void read_everything(struct store *store, enum store_table table)
{
    struct store_cursor *cursor;
    struct slice key, value;
    volatile uint8_t sum = 0;
    struct store_txn *txn = begin(store);
    assert_int_equal(store_cursor_open(store_txn_view(txn), table, &cursor), STORE_OK);
    enum store_rc rc = store_cursor_next(cursor, &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value))
        for (size_t i = 0; i < value.n; i++)
            sum = (uint8_t)(sum + value.p[i]);
    assert_int_equal(rc, STORE_NOT_FOUND);
    store_cursor_close(cursor);
    store_abort(txn);
}

static void a_file_cut_short_is_refused_unless_only_free_pages_are_gone(void **state)
{
    char text[4200];
    struct store *store = open_with(*state, 0, 0);
    fill(store);
    store_close(store);
    unsigned refused = 0;
    for (uint64_t n = data_bytes(*state) / 4096 * 4096; n >= 8192; n -= 4096) {
        cut_data(*state, n % 12288 == 0 ? n - 2048 : n); /* a page may be cut in two */
        uint64_t cut = data_bytes(*state);
        enum store_rc rc = open_rc(*state, text, sizeof text);
        if (rc == STORE_OK) {
            store = open_with(*state, 0, 0);
            read_everything(store, TABLE_APP);
            store_close(store);
            continue;
        }
        assert_int_equal(rc, STORE_DAMAGED);
        assert_non_null(strstr(text, *state));
        assert_int_equal(data_bytes(*state), cut);
        refused++;
    }
    assert_true(refused > 10);
    static const uint64_t stumps[] = {8191, 4096, 100, 1, 0};
    for (size_t i = 0; i < sizeof stumps / sizeof stumps[0]; i++) {
        cut_data(*state, stumps[i]); /* to nothing, too: a store never begins as an empty file */
        assert_int_equal(open_rc(*state, text, sizeof text), STORE_DAMAGED);
        assert_non_null(strstr(text, *state));
        assert_int_equal(data_bytes(*state), stumps[i]);
    }
}

static uint8_t *read_data(const char *dir, size_t *out_n)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    *out_n = data_bytes(dir);
    uint8_t *p = malloc(*out_n);
    int fd = open(path, O_RDONLY);
    assert_true(p && fd >= 0);
    assert_int_equal(read(fd, p, *out_n), *out_n);
    close(fd);
    return p;
}

/* The row of key "k" is found in the file by its bytes. */
static void a_row_that_was_altered_is_named_and_never_given(void **state)
{
    char text[4200] = "";
    size_t n;
    struct store *store = open_with(*state, 0, 0);
    put_one(store, "k", "the value of a row");
    store_close(store);
    uint8_t *data = read_data(*state, &n);
    uint8_t *at = memmem(data, n, "the value of a row", 18);
    assert_non_null(at);
    *at ^= 4;
    write_file(*state, "data.mdb", data, n);
    assert_int_equal(open_rc(*state, text, sizeof text), STORE_DAMAGED);
    assert_non_null(strstr(text, "of table app: a row's checksum does not fit"));
    *at ^= 4;
    write_file(*state, "data.mdb", data, n);
    store = open_with(*state, 0, 0);
    assert_true(store_holds(store, "k", "the value of a row"));
    store_close(store);
    free(data);
}

/* Every bit of the pages in use, one after the other (in steps, for the time it takes): either the
 * store is refused with a name, or it says what it said before. */
static void no_altered_bit_is_ever_believed(void **state)
{
    char text[4200];
    size_t n, opened = 0, refused = 0;
    uint64_t seed = scratch_seed();
    struct store *store = open_with(*state, 0, 0);
    fill(store);
    put_one(store, "k", "v");
    store_close(store);
    uint8_t *data = read_data(*state, &n);
    for (size_t i = 0; i < 2000; i++) {
        /* half of them in the heads of pages, where the numbers stand that LMDB goes by */
        size_t page = scratch_random(&seed) % (n / 4096) * 4096;
        size_t at = page + scratch_random(&seed) % (i % 2 ? 4096 : 200);
        uint8_t bit = (uint8_t)(1u << scratch_random(&seed) % 8);
        data[at] ^= bit;
        write_file(*state, "data.mdb", data, n);
        struct store_options o = {.path = *state};
        enum store_rc rc = store_open(&o, &store, text, sizeof text);
        if (rc == STORE_OK) {
            opened++;
            assert_true(store_holds(store, "k", "v"));
            put_one(store, "k", "w");
            assert_true(store_holds(store, "k", "w"));
            store_close(store);
        } else {
            refused++;
            assert_true(rc == STORE_DAMAGED || rc == STORE_VERSION);
            assert_non_null(strstr(text, "data.mdb"));
        }
        data[at] ^= bit;
    }
    print_message("%zu opened, %zu refused\n", opened, refused);
    assert_true(opened > 0 && refused > 10);
    free(data);
}

/* LMDB would ask for a map of that size. */
static void a_last_page_past_every_map_is_damage(void **state)
{
    char text[4200];
    size_t n;
    unsigned refused = 0;
    struct store *store = open_with(*state, 0, 0);
    put_one(store, "k", "v");
    store_close(store);
    uint8_t *data = read_data(*state, &n);
    for (size_t root = 0; root < 2; root++) { /* the newer of them counts */
        uint8_t *byte = data + root * 4096 + 136 + 4;
        *byte ^= 0x80;
        write_file(*state, "data.mdb", data, n);
        enum store_rc rc = open_rc(*state, text, sizeof text);
        refused += rc == STORE_DAMAGED && strstr(text, "last page");
        *byte ^= 0x80;
    }
    assert_int_equal(refused, 1);
    free(data);
}

static void pages_taken_and_given_back_need_not_be_in_the_file(void **state)
{
    struct store_usage usage;
    uint8_t key[4], *room;
    struct store *store = open_with(*state, 0, 0);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(put_number(store, i, 9000), STORE_OK);
    for (uint32_t i = 0; i < 20; i++)
        del_number(store, i);
    struct store_txn *txn = begin(store);
    for (uint32_t i = 100; i < 120; i++) {
        be32_put(key, i);
        assert_int_equal(
            store_put_reserve(txn, TABLE_JOURNAL, slice_of(key, 4), 90000, true, &room), STORE_OK);
        memset(room, 1, 90000);
    }
    for (uint32_t i = 119; i > 100; i--) {
        be32_put(key, i);
        assert_int_equal(store_del(txn, TABLE_JOURNAL, slice_of(key, 4)), STORE_OK);
    }
    assert_int_equal(store_commit(txn), STORE_OK);
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_true(data_bytes(*state) < usage.bytes_file);
    store_close(store);
    store = open_with(*state, 0, 0);
    read_everything(store, TABLE_JOURNAL);
    assert_int_equal(put_number(store, 500, 900000), STORE_OK);
    read_everything(store, TABLE_JOURNAL);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(garbage_instead_of_data_is_an_error_with_a_name),
        scratch_test(a_file_cut_short_is_refused_unless_only_free_pages_are_gone),
        scratch_test(a_row_that_was_altered_is_named_and_never_given),
        scratch_test(a_last_page_past_every_map_is_damage),
        scratch_test(no_altered_bit_is_ever_believed),
        scratch_test(pages_taken_and_given_back_need_not_be_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
