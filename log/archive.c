#include "archive.h"

#include "time_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define UNIT 512 /* tar's block */

/* What 11 octal digits hold. */
#define SIZE_MAX_USTAR (((uint64_t)1 << 33) - 1)

#define HEAD_BYTES_MAX  ((size_t)3 * UNIT) /* with a pax record, and its own header */
#define ABOUT_BYTES_MAX 256
#define HASH_TEXT_SIZE  33

static const char *const names[] = {
    [SAGA_ARCHIVE_IDENTITY] = "log/log.id",
    [SAGA_ARCHIVE_PAGES] = "log/data.mdb",
    [SAGA_ARCHIVE_ABOUT] = "backup",
};

/* POSIX, "ustar interchange format". */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char unused[12];
};
_Static_assert(sizeof(struct header) == UNIT, "a header has no holes");

#define TYPE_FILE '0'
#define TYPE_PAX  'x'

static uint64_t padding_of(uint64_t size) {
    return (UNIT - size % UNIT) % UNIT;
}

/* ----------------------------------------------------------------- headers */

/* Every byte as it is, the checksum's own as blanks. */
static unsigned sum_of(const struct header *header) {
    const uint8_t *bytes = (const uint8_t *)header;
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *header; i++) {
        const size_t own = offsetof(struct header, checksum);
        sum += i >= own && i < own + sizeof header->checksum ? ' ' : bytes[i];
    }
    return sum;
}

/* Octal digits, all but the last byte of the field, which is 0. */
static void print_octal(char *field, size_t room, uint64_t number) {
    field[room - 1] = '\0';
    for (size_t i = room - 1; i > 0; i--) {
        field[i - 1] = (char)('0' + (number & 7));
        number >>= 3;
    }
}

static void make_header(struct header *header, const char *name, char type, uint64_t size,
                        int64_t created_s) {
    memset(header, 0, sizeof *header);
    (void)snprintf(header->name, sizeof header->name, "%s", name);
    print_octal(header->mode, sizeof header->mode, 0600);
    print_octal(header->uid, sizeof header->uid, 0);
    print_octal(header->gid, sizeof header->gid, 0);
    print_octal(header->size, sizeof header->size, size <= SIZE_MAX_USTAR ? size : 0);
    print_octal(header->mtime, sizeof header->mtime, (uint64_t)created_s);
    header->type = type;
    memcpy(header->magic, "ustar", sizeof header->magic);
    memcpy(header->version, "00", sizeof header->version);
    print_octal(header->major, sizeof header->major, 0);
    print_octal(header->minor, sizeof header->minor, 0);
    print_octal(header->checksum, sizeof header->checksum - 1, sum_of(header));
    header->checksum[sizeof header->checksum - 1] = ' ';
}

/* "27 size=8589934592\n": the number counts itself. */
static size_t print_size_record(char *text, size_t room, uint64_t size) {
    char tail[40];
    const int rest = snprintf(tail, sizeof tail, " size=%" PRIu64 "\n", size);
    return (size_t)snprintf(text, room, "%d%s", rest + 2, tail); /* of 17 to 27 bytes: two digits */
}

/* All that stands before the bytes of a file; how many that are. */
static size_t make_head(uint8_t head[HEAD_BYTES_MAX], enum saga_archive_file file, uint64_t size,
                        int64_t created_s) {
    struct header header;
    size_t bytes = 0;
    if (size > SIZE_MAX_USTAR) {
        char record[UNIT] = "";
        const size_t length = print_size_record(record, sizeof record, size);
        make_header(&header, "PaxHeaders/data.mdb", TYPE_PAX, length, created_s);
        memcpy(head, &header, UNIT);
        memcpy(head + UNIT, record, UNIT);
        bytes = (size_t)2 * UNIT;
    }
    make_header(&header, names[file], TYPE_FILE, size, created_s);
    memcpy(head + bytes, &header, UNIT);
    return bytes + UNIT;
}

static uint64_t head_bytes(uint64_t size) {
    return size > SIZE_MAX_USTAR ? HEAD_BYTES_MAX : UNIT;
}

static uint64_t entry_bytes(uint64_t size) {
    return head_bytes(size) + size + padding_of(size);
}

/* ------------------------------------------------------------ its own words */

static void print_hash(XXH3_state_t *hash, char text[HASH_TEXT_SIZE]) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash));
    for (size_t i = 0; i < sizeof canonical.digest; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", canonical.digest[i]);
    }
}

/* Its last line is of all that stands before it. */
static size_t print_about(char text[ABOUT_BYTES_MAX], const struct saga_archive_about *about,
                          uint64_t bytes, XXH3_state_t *hash) {
    char created[SAGA_TIME_TEXT_SIZE];
    char digest[HASH_TEXT_SIZE];
    const int lines = snprintf(
        text, ABOUT_BYTES_MAX,
        "sagad-backup format %d\nid %s\ncreated %s\nlast_lsn %" PRIu64 "\nbytes %" PRIu64 "\n",
        SAGA_ARCHIVE_FORMAT, about->identity, saga_time_text(about->created_s * 1000, created),
        about->last_lsn, bytes);
    (void)XXH3_128bits_update(hash, text, (size_t)lines); /* fails only without a state */
    print_hash(hash, digest);
    return (size_t)lines +
           (size_t)snprintf(text + lines, ABOUT_BYTES_MAX - (size_t)lines, "xxh128 %s\n", digest);
}

static enum saga_error open_hash(void **hash, struct saga_fault *fault) {
    XXH3_state_t *state = XXH3_createState();
    *hash = state;
    if (state == NULL || XXH3_128bits_reset(state) != XXH_OK) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a backup's checksum.");
    }
    return SAGA_OK;
}

/* Takes bytes into the checksum, and counts them. */
static void account(void *hash, uint64_t *total, const void *bytes, size_t size) {
    (void)XXH3_128bits_update(hash, bytes, size); /* fails only without a state */
    *total += size;
}

/* ----------------------------------------------------------------- writing */

uint64_t saga_archive_bytes(uint64_t identity_bytes, uint64_t page_bytes) {
    return entry_bytes(identity_bytes) + entry_bytes(page_bytes) + entry_bytes(ABOUT_BYTES_MAX) +
           (uint64_t)2 * UNIT;
}

enum saga_error saga_archive_writer_open(struct saga_archive_writer *writer,
                                         const struct saga_archive_sink *sink, int64_t created_s,
                                         struct saga_fault *fault) {
    *writer = (struct saga_archive_writer){.sink = *sink, .created_s = created_s};
    return open_hash(&writer->hash, fault);
}

void saga_archive_writer_close(struct saga_archive_writer *writer) {
    (void)XXH3_freeState(writer->hash);
    writer->hash = NULL;
}

static enum saga_error put(struct saga_archive_writer *writer, const void *bytes, size_t size,
                           struct saga_fault *fault) {
    account(writer->hash, &writer->bytes, bytes, size);
    return writer->sink.write(writer->sink.context, bytes, size, fault);
}

enum saga_error saga_archive_begin(struct saga_archive_writer *writer, enum saga_archive_file file,
                                   uint64_t size, struct saga_fault *fault) {
    uint8_t head[HEAD_BYTES_MAX];
    assert(writer->left == 0 && size > 0);
    writer->left = size;
    return put(writer, head, make_head(head, file, size, writer->created_s), fault);
}

enum saga_error saga_archive_write(struct saga_archive_writer *writer, const void *bytes,
                                   size_t size, struct saga_fault *fault) {
    static const uint8_t zeros[UNIT];
    assert(size <= writer->left);
    writer->left -= size;
    const enum saga_error error = put(writer, bytes, size, fault);
    if (error != SAGA_OK || writer->left > 0) {
        return error;
    }
    return put(writer, zeros, padding_of(writer->bytes), fault);
}

/* The entry `backup`, and two units of zeros, which end an archive. */
#define TAIL_BYTES ((size_t)4 * UNIT)
/* Once: it ends the hash. */
static void make_tail(uint8_t tail[TAIL_BYTES], const struct saga_archive_about *about,
                      uint64_t bytes, void *hash) {
    char text[ABOUT_BYTES_MAX] = "";
    const size_t length = print_about(text, about, bytes, hash);
    uint8_t head[HEAD_BYTES_MAX];
    memset(tail, 0, TAIL_BYTES);
    (void)make_head(head, SAGA_ARCHIVE_ABOUT, length, about->created_s);
    memcpy(tail, head, UNIT);
    memcpy(tail + UNIT, text, length);
}

enum saga_error saga_archive_finish(struct saga_archive_writer *writer,
                                    const struct saga_archive_about *about,
                                    struct saga_fault *fault) {
    uint8_t tail[TAIL_BYTES];
    assert(writer->left == 0 && about->created_s == writer->created_s);
    make_tail(tail, about, writer->bytes, writer->hash);
    return writer->sink.write(writer->sink.context, tail, sizeof tail, fault);
}

/* ----------------------------------------------------------------- reading */

enum saga_error saga_archive_reader_open(struct saga_archive_reader *reader,
                                         const struct saga_archive_source *source,
                                         struct saga_fault *fault) {
    *reader = (struct saga_archive_reader){.source = *source};
    return open_hash(&reader->hash, fault);
}

void saga_archive_reader_close(struct saga_archive_reader *reader) {
    (void)XXH3_freeState(reader->hash);
    reader->hash = NULL;
}

static enum saga_error refuse(const struct saga_archive_reader *reader, const char *where,
                              const char *what, struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                          "%.300s cannot be restored: %s: %s. Take another backup; nothing was "
                          "restored.",
                          reader->source.name, where, what);
}

static enum saga_error take(struct saga_archive_reader *reader, void *bytes, size_t size,
                            struct saga_fault *fault) {
    const enum saga_error error = reader->source.read(reader->source.context, bytes, size, fault);
    if (error == SAGA_OK) {
        account(reader->hash, &reader->bytes, bytes, size);
    }
    return error;
}

/* Digits, all but the field's last byte. */
static bool scan_octal(const char *field, size_t room, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i + 1 < room; i++) {
        if (field[i] < '0' || field[i] > '7') {
            return false;
        }
        *number = *number << 3 | (uint64_t)(field[i] - '0');
    }
    return true;
}

/* What stands behind `lead`; NULL: it is not there. Whether the rest is as it must be is for a
 * comparison with what would be written to tell. */
static const char *find_after(const char *text, const char *lead) {
    const char *at = strstr(text, lead);
    return at != NULL ? at + strlen(lead) : NULL;
}

/* The size that a head says. */
static bool scan_size(const uint8_t *head, size_t bytes, uint64_t *size) {
    char record[UNIT + 1] = "";
    struct header header;
    if (bytes == UNIT) {
        memcpy(&header, head, UNIT);
        return scan_octal(header.size, sizeof header.size, size);
    }
    memcpy(record, head + UNIT, UNIT);
    const char *number = find_after(record, " size=");
    *size = number != NULL ? strtoull(number, NULL, 10) : 0;
    return *size > SIZE_MAX_USTAR && *size <= INT64_MAX;
}

/* What is wrong with a head; NULL: nothing. */
static const char *head_damage(struct saga_archive_reader *reader, enum saga_archive_file file,
                               const uint8_t *head, size_t bytes, uint64_t *size) {
    struct header last;
    memcpy(&last, head + bytes - UNIT, UNIT);
    if (memcmp(last.magic, "ustar", sizeof last.magic) != 0) {
        return "it has no header of a POSIX archive";
    }
    if (strncmp(last.name, names[file], sizeof last.name) != 0) {
        return "another file stands in its place";
    }
    uint64_t created_s;
    if (!scan_octal(last.mtime, sizeof last.mtime, &created_s) || !scan_size(head, bytes, size)) {
        return "its header is damaged";
    }
    if (reader->bytes == bytes) { /* the first one */
        reader->created_s = (int64_t)created_s;
    }
    uint8_t expected[HEAD_BYTES_MAX];
    if (*size == 0 || make_head(expected, file, *size, reader->created_s) != bytes ||
        memcmp(expected, head, bytes) != 0) {
        return "its header is not as sagalog writes it";
    }
    return NULL;
}

enum saga_error saga_archive_next(struct saga_archive_reader *reader, enum saga_archive_file file,
                                  uint64_t *size, struct saga_fault *fault) {
    uint8_t head[HEAD_BYTES_MAX];
    size_t bytes = UNIT;
    assert(reader->left == 0);
    enum saga_error error = take(reader, head, UNIT, fault);
    if (error == SAGA_OK && head[offsetof(struct header, type)] == TYPE_PAX) {
        bytes = HEAD_BYTES_MAX;
        error = take(reader, head + UNIT, bytes - UNIT, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const char *damage = head_damage(reader, file, head, bytes, size);
    if (damage != NULL) {
        return refuse(reader, names[file], damage, fault);
    }
    reader->left = *size;
    return SAGA_OK;
}

enum saga_error saga_archive_read(struct saga_archive_reader *reader, void *bytes, size_t size,
                                  struct saga_fault *fault) {
    uint8_t padding[UNIT];
    assert(size <= reader->left);
    reader->left -= size;
    const enum saga_error error = take(reader, bytes, size, fault);
    if (error != SAGA_OK || reader->left > 0) {
        return error;
    }
    return take(reader, padding, padding_of(reader->bytes), fault);
}

/* What the entry says; false: it makes no sense. */
static bool scan_about(const uint8_t tail[TAIL_BYTES], uint64_t *format,
                       struct saga_archive_about *about) {
    char text[UNIT + 1] = "";
    memcpy(text, tail + UNIT, UNIT);
    const char *number = find_after(text, "sagad-backup format ");
    const char *id = find_after(text, "\nid ");
    const char *last_lsn = find_after(text, "\nlast_lsn ");
    *format = number != NULL ? strtoull(number, NULL, 10) : 0;
    if (id != NULL) {
        (void)snprintf(about->identity, sizeof about->identity, "%s", id);
    }
    about->last_lsn = last_lsn != NULL ? strtoull(last_lsn, NULL, 10) : 0;
    return *format != 0 && (*format != SAGA_ARCHIVE_FORMAT || (id != NULL && last_lsn != NULL));
}

enum saga_error saga_archive_verify(struct saga_archive_reader *reader,
                                    struct saga_archive_about *about, struct saga_fault *fault) {
    uint8_t tail[TAIL_BYTES];
    uint8_t expected[TAIL_BYTES];
    uint64_t format = 0;
    assert(reader->left == 0);
    enum saga_error error = reader->source.read(reader->source.context, tail, sizeof tail, fault);
    if (error == SAGA_OK) {
        error = reader->source.end(reader->source.context, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    *about = (struct saga_archive_about){.created_s = reader->created_s};
    if (!scan_about(tail, &format, about)) {
        return refuse(reader, names[SAGA_ARCHIVE_ABOUT], "what it says of itself is damaged",
                      fault);
    }
    if (format != SAGA_ARCHIVE_FORMAT) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s is a backup of format %" PRIu64
                              ", and this sagalog knows format %d: "
                              "use the version that wrote it. Nothing was restored.",
                              reader->source.name, format, SAGA_ARCHIVE_FORMAT);
    }
    make_tail(expected, about, reader->bytes, reader->hash);
    if (memcmp(tail, expected, sizeof tail) != 0) {
        return refuse(reader, names[SAGA_ARCHIVE_ABOUT],
                      "its checksum does not match: some of its bytes are not those that were "
                      "written",
                      fault);
    }
    return SAGA_OK;
}
