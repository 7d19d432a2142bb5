/*
 * Records to encode, and whether what was decoded is the same.
 *
 * Hides the memory: bytes are encoded to, and decoded from, memory of exactly
 * their size, so that the address sanitizer sees each byte read beyond it.
 *
 * Failures end the test (Check), but record_bytes(), record_saga_id() and the
 * records cannot fail and may be used outside of one.
 *
 * Threads: no state.
 */
#ifndef SAGA_RECORD_FIXTURE_H
#define SAGA_RECORD_FIXTURE_H

#include "meta.h"
#include "record.h"
#include "splitmix.h"

#include <check.h>

/* As ck_assert(), for loops of a hundred thousand turns: Check notes each of
 * its assertions that holds, in a file. */
#define CHECK_THAT(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("not so: %s", #condition);                                                \
        }                                                                                          \
    } while (0)

/* The bytes of a string, without its NUL; and an id that counts up from `first`. */
struct saga_bytes record_bytes(const char *string);
struct saga_id record_saga_id(uint8_t first);

/* The least that is a record. */
struct saga_record record_smallest(void);
/* What a command of a real saga looks like. */
struct saga_record record_command(void);
/* Any record; its key and payload lie in `noise`, of record_noise(). */
struct saga_record record_random(struct splitmix *random, const uint8_t *noise);
/* malloc'd. */
uint8_t *record_noise(struct splitmix *random);

/* For keys and payloads up to the longest. */
extern uint8_t record_longest[SAGA_PAYLOAD_BYTES_MAX];

/* The record's bytes; malloc'd. */
uint8_t *record_encoded(const struct saga_record *record, size_t *size);
/* What saga_record_decode() says of these bytes. `record`'s key and payload are
 * gone when it returns. */
enum saga_record_error record_decode_copy(const uint8_t *bytes, size_t size,
                                          struct saga_record *record);

/* Every field is the same, but the LSN, which is not in a record. */
void record_assert_same(const struct saga_record *a, const struct saga_record *b);
/* It is the same once encoded and decoded. */
void record_assert_round_trip(const struct saga_record *record);

/* The same of the row meta. */
void meta_assert_same(const struct saga_meta *a, const struct saga_meta *b);

#endif
