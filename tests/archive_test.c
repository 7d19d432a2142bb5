/* The file that a backup is: that others can read it, and that nothing but it is taken for it. */
#include "archive.h"

#include "check_run.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY   "identity of a log\n"
#define PAGE_BYTES 4096
#define UNIT       512

static const struct saga_archive_about about = {
    .identity = "0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10", .created_s = 1767268800, .last_lsn = 4711};

/* An archive in memory, written and read from the beginning. */
struct memory {
    uint8_t *bytes;
    size_t size;
    size_t at;
};

static enum saga_error put(void *context, const void *bytes, size_t size,
                           struct saga_fault *fault) {
    struct memory *memory = context;
    (void)fault;
    memory->bytes = realloc(memory->bytes, memory->size + size + 1);
    ck_assert_ptr_nonnull(memory->bytes);
    memcpy(memory->bytes + memory->size, bytes, size);
    memory->size += size;
    return SAGA_OK;
}

static enum saga_error get(void *context, void *bytes, size_t size, struct saga_fault *fault) {
    struct memory *memory = context;
    if (memory->size - memory->at < size) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it ends");
    }
    memcpy(bytes, memory->bytes + memory->at, size);
    memory->at += size;
    return SAGA_OK;
}

static enum saga_error end(void *context, struct saga_fault *fault) {
    const struct memory *memory = context;
    return memory->at == memory->size ? SAGA_OK
                                      : saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "it goes on");
}

/* The bytes of the pages: a pattern, and a page of zeros. */
static void make_pages(uint8_t pages[2 * PAGE_BYTES]) {
    memset(pages, 0, (size_t)2 * PAGE_BYTES);
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        pages[i] = (uint8_t)(i * 7 + i / 256);
    }
}

static struct memory make_archive(void) {
    struct memory memory = {0};
    const struct saga_archive_sink sink = {.context = &memory, .write = put};
    struct saga_archive_writer writer;
    struct saga_fault fault = {0};
    uint8_t pages[2 * PAGE_BYTES];
    make_pages(pages);
    ck_assert_int_eq(saga_archive_writer_open(&writer, &sink, about.created_s, &fault), SAGA_OK);
    ck_assert_int_eq(saga_archive_begin(&writer, SAGA_ARCHIVE_IDENTITY, strlen(IDENTITY), &fault),
                     SAGA_OK);
    ck_assert_int_eq(saga_archive_write(&writer, IDENTITY, strlen(IDENTITY), &fault), SAGA_OK);
    ck_assert_int_eq(saga_archive_begin(&writer, SAGA_ARCHIVE_PAGES, sizeof pages, &fault),
                     SAGA_OK);
    ck_assert_int_eq(saga_archive_write(&writer, pages, PAGE_BYTES, &fault), SAGA_OK);
    ck_assert_int_eq(saga_archive_write(&writer, pages + PAGE_BYTES, PAGE_BYTES, &fault), SAGA_OK);
    ck_assert_int_eq(saga_archive_finish(&writer, &about, &fault), SAGA_OK);
    saga_archive_writer_close(&writer);
    ck_assert_uint_eq(memory.size, saga_archive_bytes(strlen(IDENTITY), sizeof pages));
    return memory;
}

static enum saga_error read_file(struct saga_archive_reader *reader, enum saga_archive_file file,
                                 struct saga_fault *fault) {
    uint8_t bytes[64];
    uint64_t size = 0;
    enum saga_error error = saga_archive_next(reader, file, &size, fault);
    while (error == SAGA_OK && size > 0) {
        const size_t part = size < sizeof bytes ? (size_t)size : sizeof bytes;
        error = saga_archive_read(reader, bytes, part, fault);
        size -= part;
    }
    return error;
}

/* Reads it from end to end. */
static enum saga_error read_archive(struct memory *memory, struct saga_archive_about *found,
                                    struct saga_fault *fault) {
    const struct saga_archive_source source = {
        .context = memory, .name = "the archive", .read = get, .end = end};
    struct saga_archive_reader reader;
    memory->at = 0;
    fault->text[0] = '\0';
    ck_assert_int_eq(saga_archive_reader_open(&reader, &source, fault), SAGA_OK);
    enum saga_error error = read_file(&reader, SAGA_ARCHIVE_IDENTITY, fault);
    if (error == SAGA_OK) {
        error = read_file(&reader, SAGA_ARCHIVE_PAGES, fault);
    }
    if (error == SAGA_OK) {
        error = saga_archive_verify(&reader, found, fault);
    }
    saga_archive_reader_close(&reader);
    return error;
}

static void expect_refused(struct memory *memory, const char *what) {
    struct saga_archive_about found;
    struct saga_fault fault;
    ck_assert_int_eq(read_archive(memory, &found, &fault), SAGA_ERROR_LOG_REFUSED);
    ck_assert_msg(strstr(fault.text, what) != NULL, "it says: %s", fault.text);
}

/* ------------------------------------------------------------------ its form */

START_TEST(what_is_written_is_read) {
    struct memory memory = make_archive();
    struct saga_archive_about found;
    struct saga_fault fault;
    ck_assert_int_eq(read_archive(&memory, &found, &fault), SAGA_OK);
    ck_assert_str_eq(found.identity, about.identity);
    ck_assert_int_eq(found.created_s, about.created_s);
    ck_assert_uint_eq(found.last_lsn, about.last_lsn);
    free(memory.bytes);
}
END_TEST

/* What tar says of the archive. */
static void expect_listed(const struct memory *memory, const char *option, const char *more,
                          const char *expected) {
    char path[] = "/tmp/saga-archive-XXXXXX";
    char line[256];
    char text[1024] = "";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, memory->bytes, memory->size), (ssize_t)memory->size);
    (void)snprintf(line, sizeof line, "exec 2>&1; tar %s %s %s", option, path, more);
    FILE *output = popen(line, "r");
    ck_assert_ptr_nonnull(output);
    const size_t size = fread(text, 1, sizeof text - 1, output);
    text[size] = '\0';
    const int status = pclose(output);
    (void)close(fd);
    (void)unlink(path);
    ck_assert_msg(strstr(text, expected) != NULL, "'%s' says: %s", line, text);
    ck_assert_int_eq(status, 0);
}

START_TEST(tar_reads_it) {
    struct memory memory = make_archive();
    expect_listed(&memory, "tf", "", "log/log.id\nlog/data.mdb\nbackup\n");
    expect_listed(&memory, "xOf", "log/log.id", IDENTITY);
    expect_listed(&memory, "xOf", "backup",
                  "sagad-backup format 1\nid 0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10\n"
                  "created 2026-01-01T12:00:00.000Z\nlast_lsn 4711\nbytes 9728\nxxh128 ");
    free(memory.bytes);
}
END_TEST

/* The head alone: nobody has that much memory. */
START_TEST(a_log_of_any_size_fits) {
    static const uint64_t sizes[] = {((uint64_t)1 << 33) - 4096, (uint64_t)1 << 33,
                                     (uint64_t)9 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct memory memory = {0};
        const struct saga_archive_sink sink = {.context = &memory, .write = put};
        const struct saga_archive_source source = {
            .context = &memory, .name = "it", .read = get, .end = end};
        struct saga_archive_writer writer;
        struct saga_archive_reader reader;
        struct saga_fault fault = {0};
        char expected[64];
        uint64_t size = 0;
        ck_assert_int_eq(saga_archive_writer_open(&writer, &sink, about.created_s, &fault),
                         SAGA_OK);
        ck_assert_int_eq(saga_archive_begin(&writer, SAGA_ARCHIVE_PAGES, sizes[i], &fault),
                         SAGA_OK);
        saga_archive_writer_close(&writer);
        ck_assert_int_eq(saga_archive_reader_open(&reader, &source, &fault), SAGA_OK);
        ck_assert_int_eq(saga_archive_next(&reader, SAGA_ARCHIVE_PAGES, &size, &fault), SAGA_OK);
        saga_archive_reader_close(&reader);
        ck_assert_uint_eq(size, sizes[i]);
        (void)snprintf(expected, sizeof expected, " %" PRIu64 " ", sizes[i]);
        expect_listed(&memory, "tvf", "; true", expected);
        free(memory.bytes);
    }
}
END_TEST

/* -------------------------------------------------------------------- damage */

START_TEST(every_bit_counts) {
    struct memory memory = make_archive();
    struct saga_archive_about found;
    struct saga_fault fault;
    for (size_t bit = 0; bit < memory.size * 8; bit++) {
        memory.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(read_archive(&memory, &found, &fault) == SAGA_ERROR_LOG_REFUSED,
                      "bit %zu of byte %zu", bit % 8, bit / 8);
        memory.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(read_archive(&memory, &found, &fault), SAGA_OK);
    free(memory.bytes);
}
END_TEST

START_TEST(every_length_counts) {
    struct memory memory = make_archive();
    const size_t whole = memory.size;
    for (memory.size = 0; memory.size < whole; memory.size++) {
        expect_refused(&memory, "it ends");
    }
    memory.bytes[whole] = 0;
    memory.size = whole + 1;
    expect_refused(&memory, "it goes on");
    free(memory.bytes);
}
END_TEST

/* -------------------------------------------------------------------- hostile */

/* As tar would have it: the sum of a header's bytes, its own being blanks. */
static void sign(uint8_t *header) {
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < UNIT; i++) {
        sum += header[i];
    }
    (void)snprintf((char *)header + 148, 8, "%06o", sum);
    header[155] = ' ';
}

START_TEST(no_header_is_acted_on) {
    static const struct {
        size_t at;
        const char *bytes;
        const char *what;
    } attempts[] = {
        {0, "../../../tmp/x", "another file stands in its place"},
        {0, "/etc/passwd", "another file stands in its place"},
        {0, "log/log.id\0\x01", "not as sagalog writes it"},
        {100, "0004755", "not as sagalog writes it"}, /* set-user-ID */
        {108, "0000001", "not as sagalog writes it"},
        {124, "77777777777", "not as sagalog writes it"}, /* 8 GiB in a name */
        {124, "00000000000", "not as sagalog writes it"},
        {124, "-0000000001", "header is damaged"},
        {124, "\x80\x7f\xff\xff", "header is damaged"},
        {136, "           ", "header is damaged"},
        {156, "1", "not as sagalog writes it"}, /* links, devices, directories */
        {156, "2", "not as sagalog writes it"},
        {156, "3", "not as sagalog writes it"},
        {156, "5", "not as sagalog writes it"},
        {156, "L", "not as sagalog writes it"},
        {157, "/etc/passwd", "not as sagalog writes it"},
        {257, "ustar  ", "no header of a POSIX archive"}, /* GNU's own */
        {345, "/etc", "not as sagalog writes it"},
    };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        struct memory memory = make_archive();
        const size_t size = i == 2 ? 12 : strlen(attempts[i].bytes);
        memcpy(memory.bytes + attempts[i].at, attempts[i].bytes, size);
        sign(memory.bytes);
        if (attempts[i].at == 124 && attempts[i].bytes[0] == '7') {
            /* A size that can be: the rest is not there. */
            expect_refused(&memory, "it ends");
        } else {
            expect_refused(&memory, attempts[i].what);
        }
        free(memory.bytes);
    }
}
END_TEST

START_TEST(a_pax_record_says_the_size_and_no_more) {
    static const char *const records[] = {"27 size=99\n", "11 path=/x\n", "",
                                          "27 size=-8589934592\n",
                                          "9999999999999999999 size=8589934592\n"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct memory memory = {.size = (size_t)3 * UNIT};
        memory.bytes = calloc(1, memory.size + 1);
        struct memory real = make_archive();
        ck_assert_ptr_nonnull(memory.bytes);
        memcpy(memory.bytes, real.bytes, UNIT);
        memory.bytes[156] = 'x';
        sign(memory.bytes);
        memcpy(memory.bytes + UNIT, records[i], strlen(records[i]));
        memcpy(memory.bytes + (size_t)2 * UNIT, real.bytes, UNIT);
        expect_refused(&memory, "header");
        free(memory.bytes);
        free(real.bytes);
    }
}
END_TEST

START_TEST(a_newer_format_is_refused_with_both_numbers) {
    struct memory memory = make_archive();
    uint8_t *number = memmem(memory.bytes, memory.size, "format 1", 8);
    ck_assert_ptr_nonnull(number);
    number[7] = '7';
    expect_refused(&memory, "format 7, and this sagalog knows format 1");
    free(memory.bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("archive");
    TCase *tests = tcase_create("archive");
    tcase_set_timeout(tests, 100);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_test(tests, tar_reads_it);
    tcase_add_test(tests, a_log_of_any_size_fits);
    tcase_add_test(tests, every_bit_counts);
    tcase_add_test(tests, every_length_counts);
    tcase_add_test(tests, no_header_is_acted_on);
    tcase_add_test(tests, a_pax_record_says_the_size_and_no_more);
    tcase_add_test(tests, a_newer_format_is_refused_with_both_numbers);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
