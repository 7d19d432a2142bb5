/*
 * A digest of what a log says: of its records, in their order, and nothing of how they are stored.
 *
 * XXH3-128 over, of each record, its LSN (64 bits, big-endian), its size as record.h encodes it (32
 * bits, big-endian) and that encoding. So a log that was imported from an export has the digest of
 * the one that was exported.
 *
 * Threads: one.
 */
#ifndef SAGA_DIGEST_H
#define SAGA_DIGEST_H

#include "error.h"
#include "saga.h"

#define SAGA_DIGEST_TEXT_SIZE 33

struct saga_digest;

/* NULL: no memory. */
struct saga_digest *saga_digest_open(void);
void saga_digest_close(struct saga_digest *digest);

void saga_digest_add(struct saga_digest *digest, const struct saga_record *record);

/* The same of bytes as they are: a digest of a text. */
void saga_digest_add_bytes(struct saga_digest *digest, const void *bytes, size_t size);

/* Of what was added so far, in hexadecimal; `text` has SAGA_DIGEST_TEXT_SIZE bytes; returns it. */
char *saga_digest_text(const struct saga_digest *digest, char *text);

#endif
