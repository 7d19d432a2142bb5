/*
 * An archive: the one file that a backup of a log is.
 *
 * Hides tar. It is a POSIX archive (ustar; with a pax record for a log of 8 GiB and more) that
 * every tar unpacks, of these files in this order:
 *
 *    log/log.id      which log it is of
 *    log/data.mdb    the log, as of one transaction
 *    backup          what the archive says of itself; six lines, nothing else:
 *
 *    sagad-backup format 1
 *    id 0f3c2f4e-5a3e-4c1b-9a63-0f5f5b8f9a10
 *    created 2026-01-01T12:00:00.000Z
 *    last_lsn 4711
 *    bytes 1052160
 *    xxh128 c5a0a1c2f6e1d0b4a7e5c3f1d2b3a495
 *
 * `bytes` is how many there are before the header of `backup`, and `xxh128` the XXH3-128, in
 * canonical order, of these and of the five lines: (head -c 1052160 FILE; tar xOf FILE backup |
 * head -5) | xxh128sum says the same.
 *
 * There is one way to write an archive, bit by bit: headers have owner 0, mode 0600 and the date of
 * creation. So whatever is not as it would be written is refused, and no name, size or type in an
 * archive is ever acted on.
 *
 * Threads: no state.
 */
#ifndef SAGA_ARCHIVE_H
#define SAGA_ARCHIVE_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

#define SAGA_ARCHIVE_FORMAT 1

/* In the order in which they stand. */
enum saga_archive_file {
    SAGA_ARCHIVE_IDENTITY = 1,
    SAGA_ARCHIVE_PAGES,
    SAGA_ARCHIVE_ABOUT,
};

/* What an archive says of itself. */
struct saga_archive_about {
    char identity[37]; /* the log's */
    int64_t created_s; /* since 1970 UTC */
    uint64_t last_lsn;
};

/* Where it goes to, or comes from: all of `size`, or an error. Of a source, LOG_REFUSED: it ends
 * before. */
struct saga_archive_sink {
    void *context;
    enum saga_error (*write)(void *context, const void *bytes, size_t size,
                             struct saga_fault *fault);
};
struct saga_archive_source {
    void *context;
    const char *name; /* for faults */
    enum saga_error (*read)(void *context, void *bytes, size_t size, struct saga_fault *fault);
    /* LOG_REFUSED: it does not end here. */
    enum saga_error (*end)(void *context, struct saga_fault *fault);
};

/* ----------------------------------------------------------------- writing */

struct saga_archive_writer {
    struct saga_archive_sink sink;
    int64_t created_s;
    uint64_t bytes; /* so far */
    uint64_t left;  /* of the file that was begun */
    void *hash;     /* owned */
};

/* How many bytes the archive of two files has. */
uint64_t saga_archive_bytes(uint64_t identity_bytes, uint64_t page_bytes);

/* Errors: FAILED (memory). Close it in any case. */
SAGA_CHECKED enum saga_error saga_archive_writer_open(struct saga_archive_writer *writer,
                                                      const struct saga_archive_sink *sink,
                                                      int64_t created_s, struct saga_fault *fault);
void saga_archive_writer_close(struct saga_archive_writer *writer);

/* Begins IDENTITY, then PAGES, of so many bytes, which saga_archive_write() must bring. Errors: the
 * sink's. */
SAGA_CHECKED enum saga_error saga_archive_begin(struct saga_archive_writer *writer,
                                                enum saga_archive_file file, uint64_t size,
                                                struct saga_fault *fault);
SAGA_CHECKED enum saga_error saga_archive_write(struct saga_archive_writer *writer,
                                                const void *bytes, size_t size,
                                                struct saga_fault *fault);

/* Writes what there is to say of it, and its end. Errors: the sink's. */
SAGA_CHECKED enum saga_error saga_archive_finish(struct saga_archive_writer *writer,
                                                 const struct saga_archive_about *about,
                                                 struct saga_fault *fault);

/* ----------------------------------------------------------------- reading */

struct saga_archive_reader {
    struct saga_archive_source source;
    int64_t created_s; /* of the first header */
    uint64_t bytes;    /* so far */
    uint64_t left;     /* of the file that was opened */
    void *hash;        /* owned */
};

/* Errors: FAILED (memory). Close it in any case. */
SAGA_CHECKED enum saga_error saga_archive_reader_open(struct saga_archive_reader *reader,
                                                      const struct saga_archive_source *source,
                                                      struct saga_fault *fault);
void saga_archive_reader_close(struct saga_archive_reader *reader);

/* Finds IDENTITY, then PAGES, and its size, all of which saga_archive_read() must take. Errors:
 * LOG_REFUSED (what is there is not the header of such a file), the source's. */
SAGA_CHECKED enum saga_error saga_archive_next(struct saga_archive_reader *reader,
                                               enum saga_archive_file file, uint64_t *size,
                                               struct saga_fault *fault);
SAGA_CHECKED enum saga_error saga_archive_read(struct saga_archive_reader *reader, void *bytes,
                                               size_t size, struct saga_fault *fault);

/* Reads to the end: only now it is known whether what was read is what was written. Errors:
 * LOG_REFUSED (the checksum does not match, or another format), the source's. */
SAGA_CHECKED enum saga_error saga_archive_verify(struct saga_archive_reader *reader,
                                                 struct saga_archive_about *about,
                                                 struct saga_fault *fault);

#endif
