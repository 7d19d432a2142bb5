/* Each thing that the walk over LMDB's trees looks for, broken by itself: it is
 * refused, and named. */
#include "log.h"

#include "check_run.h"
#include "ledger.h"
#include "pages.h"
#include "scratch.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAP_BYTES ((uint64_t)64 << 20)
#define PAGE      4096

static struct scratch scratch;

/* data.mdb of a log of small commits: its trees have branches, its list of
 * free pages entries. */
static uint8_t *whole;
static size_t whole_size;

static const char *data_file(void) {
    return scratch_file(&scratch, "log/data.mdb");
}

static enum saga_error try_open(struct saga_log **log, bool read_only, struct saga_fault *fault) {
    struct saga_log_options options = {
        .data_dir = scratch.path, .map_bytes_max = MAP_BYTES, .read_only = read_only};
    fault->text[0] = '\0';
    return saga_log_open(log, &options, fault);
}

static int make_log(void *unused) {
    (void)unused;
    struct saga_log *log;
    struct saga_fault fault;
    ck_assert_int_eq(try_open(&log, false, &fault), SAGA_OK);
    for (int i = 0; i < 130; i++) {
        ledger_append(log, 2);
        ck_assert_int_eq(saga_log_flush(log, &fault), SAGA_OK);
    }
    saga_log_close(log);
    return 0;
}

/* Once for all tests: each writes the whole file again. */
static void setup(void) {
    scratch_open(&scratch);
    ck_assert_int_eq(child_run(make_log, NULL), 0);
    whole = file_read(data_file(), &whole_size);
}

static void teardown(void) {
    free(whole);
    scratch_close(&scratch);
}

static struct saga_page_meta live_meta(void) {
    struct saga_page_meta live;
    struct saga_fault fault;
    int fd = open(data_file(), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(saga_pages_check(fd, data_file(), false, &live, &fault), SAGA_OK);
    ck_assert_int_eq(close(fd), 0);
    return live;
}

/* Entry `index` of a page: a head of 8 bytes, the key, the value. */
static uint8_t *entry_of(uint8_t *page, unsigned index) {
    uint16_t offset;
    memcpy(&offset, page + 16 + (size_t)2 * index, sizeof offset);
    return page + offset;
}

static uint16_t get16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put16(uint8_t *at, uint16_t value) {
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof value);
}

/* Pages of the file, found the way LMDB finds them. */
struct anatomy {
    struct saga_page_meta live;
    uint8_t *main;   /* the main table's root, a leaf */
    uint8_t *row;    /* the table log's row in it */
    uint8_t *branch; /* the root of the table log */
    uint8_t *leaf;   /* its second leaf */
    uint8_t *rows;   /* the table done's only page, a leaf */
    uint8_t *free;   /* the root of the list of free pages, a leaf */
};

/* The value of the main table's entry of this name: a tree. */
static uint8_t *table_named(uint8_t *main, const char *name) {
    const unsigned count = (get16(main + 12) - 16u) / 2;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = entry_of(main, i);
        if (get16(entry + 6) == strlen(name) && memcmp(entry + 8, name, strlen(name)) == 0) {
            return entry + 8 + strlen(name);
        }
    }
    ck_abort_msg("there is no table %s", name);
}

static struct anatomy anatomy(void) {
    struct anatomy a = {.live = live_meta()};
    struct saga_page_tree row;
    a.main = whole + a.live.main.root * PAGE;
    memcpy(&row, table_named(a.main, "done"), sizeof row);
    ck_assert_uint_eq(row.depth, 1);
    a.rows = whole + row.root * PAGE;
    a.row = table_named(a.main, "log");
    memcpy(&row, a.row, sizeof row);
    ck_assert_uint_eq(row.depth, 2);
    a.branch = whole + row.root * PAGE;
    a.leaf = whole + (uint64_t)get16(entry_of(a.branch, 1)) * PAGE;
    a.free = whole + a.live.free.root * PAGE;
    return a;
}

/* Each thing that the walk over the trees looks for, alone. */
static void page_says_it_is_another(struct anatomy *a) {
    put64(a->leaf, 1);
}
static void leaf_is_no_leaf(struct anatomy *a) {
    put16(a->leaf + 10, 0x01);
}
static void branch_is_no_branch(struct anatomy *a) {
    put16(a->branch + 10, 0x02);
}
static void page_has_flags_of_memory(struct anatomy *a) {
    put16(a->leaf + 10, 0x12);
}
static void bounds_cross(struct anatomy *a) {
    put16(a->leaf + 12, (uint16_t)(get16(a->leaf + 14) + 2));
}
static void bounds_are_odd(struct anatomy *a) {
    put16(a->leaf + 12, (uint16_t)(get16(a->leaf + 12) - 1));
}
static void bounds_leave_the_page(struct anatomy *a) {
    put16(a->leaf + 14, PAGE + 2);
}
static void branch_has_one_entry(struct anatomy *a) {
    put16(a->branch + 12, 18);
}
static void entry_is_in_the_offsets(struct anatomy *a) {
    put16(a->leaf + 16, 16);
}
static void entry_leaves_the_page(struct anatomy *a) {
    put16(a->leaf + 16, PAGE - 2);
}
static void value_leaves_the_page(struct anatomy *a) {
    put16(entry_of(a->leaf, 0), 0xffff);
    put16(entry_of(a->leaf, 0) + 4, 0);
}
static void entry_is_of_no_kind(struct anatomy *a) {
    put16(entry_of(a->leaf, 0) + 4, 0x80);
}
static void key_has_another_size(struct anatomy *a) {
    put16(entry_of(a->leaf, 0) + 6, 4);
}
static void keys_are_swapped(struct anatomy *a) {
    uint8_t key[8];
    memcpy(key, entry_of(a->leaf, 0) + 8, 8);
    memcpy(entry_of(a->leaf, 0) + 8, entry_of(a->leaf, 1) + 8, 8);
    memcpy(entry_of(a->leaf, 1) + 8, key, 8);
}
static void row_keys_are_equal(struct anatomy *a) {
    uint8_t *key = entry_of(a->rows, 1);
    put16(key + 6, get16(entry_of(a->rows, 0) + 6));
    memcpy(key + 8, entry_of(a->rows, 0) + 8, get16(key + 6));
}
static void row_keys_descend(struct anatomy *a) {
    entry_of(a->rows, 0)[8] = 0xff;
}
static void branch_key_is_too_high(struct anatomy *a) {
    entry_of(a->branch, 1)[8 + 6] = 1;
}
static void child_is_behind_the_end(struct anatomy *a) {
    put16(entry_of(a->branch, 1), 0xfffe);
}
static void child_is_used_twice(struct anatomy *a) {
    memcpy(entry_of(a->branch, 1), entry_of(a->branch, 0), 6);
}
static void entries_are_miscounted(struct anatomy *a) {
    a->row[32] ^= 1;
}
static void leaves_are_miscounted(struct anatomy *a) {
    a->row[16] ^= 1;
}
static void tree_is_too_deep(struct anatomy *a) {
    put16(a->row + 6, 33);
}
static void tree_has_no_depth(struct anatomy *a) {
    put16(a->row + 6, 0);
}
static void table_is_in_the_table(struct anatomy *a) {
    put16(entry_of(a->leaf, 0) + 4, 0x02);
}
/* LMDB would write the next records over the page. */
static void page_is_free_and_used(struct anatomy *a) {
    put64(entry_of(a->free, 0) + 16 + 8, a->live.main.root);
}
static void free_page_is_behind_the_end(struct anatomy *a) {
    put64(entry_of(a->free, 0) + 16 + 8, a->live.last_page + 1);
}
static void free_page_is_a_meta_page(struct anatomy *a) {
    put64(entry_of(a->free, 0) + 16 + 8, 1);
}
static void free_list_is_cut(struct anatomy *a) {
    put64(entry_of(a->free, 0) + 16, 1 << 20);
}

static const struct {
    void (*harm)(struct anatomy *a);
    const char *says;
} harms[] = {
    {page_says_it_is_another, "it says that it is page 1"},
    {leaf_is_no_leaf, "it is no leaf of table log"},
    {branch_is_no_branch, "it is no branch of table log"},
    {page_has_flags_of_memory, "it is no leaf of table log"},
    {bounds_cross, "its bounds make no sense"},
    {bounds_are_odd, "its bounds make no sense"},
    {bounds_leave_the_page, "its bounds make no sense"},
    {branch_has_one_entry, "its bounds make no sense"},
    {entry_is_in_the_offsets, "entry 0 is outside of it"},
    {entry_leaves_the_page, "entry 0 is outside of it"},
    {value_leaves_the_page, "entry 0 reaches out of it"},
    {entry_is_of_no_kind, "an entry is of no known kind"},
    {key_has_another_size, "a key of table log has 4 bytes"},
    {keys_are_swapped, "of table log comes after"},
    {row_keys_are_equal, "of table done comes after"},
    {row_keys_descend, "of table done comes after"},
    {branch_key_is_too_high, "of table log comes after"},
    {child_is_behind_the_end, "it is not among the"},
    {child_is_used_twice, "it is used twice"},
    {entries_are_miscounted, "and says that it has"},
    {leaves_are_miscounted, "its pages are not as many as it says"},
    {tree_is_too_deep, "table log has no root, or no depth"},
    {tree_has_no_depth, "table log has no root, or no depth"},
    {table_is_in_the_table, "a table stands where none can be"},
    {page_is_free_and_used, "it is used twice"},
    {free_page_is_behind_the_end, "it is not among the"},
    {free_page_is_a_meta_page, "it is not among the"},
    {free_list_is_cut, "a list of free pages is cut"},
};
#define HARM_COUNT ((int)(sizeof harms / sizeof harms[0]))

START_TEST(what_lmdb_would_stumble_over_is_named) {
    struct anatomy a = anatomy();
    harms[_i].harm(&a);
    file_write(data_file(), whole, whole_size);
    for (int read_only = 0; read_only < 2; read_only++) {
        struct saga_log *log;
        struct saga_fault fault;
        enum saga_error error = try_open(&log, read_only != 0, &fault);
        ck_assert_msg(error == SAGA_ERROR_LOG_REFUSED, "it should say: %s", harms[_i].says);
        ck_assert_msg(strstr(fault.text, harms[_i].says) != NULL, "it says: %s", fault.text);
        ck_assert_ptr_nonnull(strstr(fault.text, "data.mdb is damaged: page "));
    }
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("log trees");
    TCase *trees = tcase_create("trees");
    tcase_add_unchecked_fixture(trees, setup, teardown);
    tcase_set_timeout(trees, 60);
    tcase_add_loop_test(trees, what_lmdb_would_stumble_over_is_named, 0, HARM_COUNT);
    suite_add_tcase(suite, trees);
    return suite;
}

int main(void) {
    return check_run(suite());
}
