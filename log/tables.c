#include "tables.h"

#include <assert.h>

#include "bigendian.h"

#define QUARANTINED 0x01
#define ASKED       0x02

/* Where things stand in a row of `open`; see tables.h. */
enum {
    AT_FORMAT = 0,
    AT_FLAGS = 1,
    AT_STEP_COUNT = 2,
    AT_BODY_CLASS = 3,
    AT_EPOCH = 4,
    AT_STARTED_LSN = 8,
    AT_LAST_LSN = 16,
    AT_DEFINITION_LSN = 24,
    OPEN_HEAD_BYTES = 32,
    AT_STARTED_MS = 32,
    AT_DEADLINE_MS = 40,
    AT_DIRECTION = 48,
    AT_PARKED = 49,
    AT_WISH = 50,
    AT_REASON = 51,
    AT_PIVOT_PASSED = 52,
    AT_STARTED_COUNT = 53,
    AT_PARKED_STEP = 54,
    AT_STEPS = 56,
};

/* In a step. */
enum {
    AT_PHASE = 0,
    AT_OPERATION = 1,
    AT_ORDER = 2,
    AT_SPENT = 3,
    AT_INCARNATION = 4,
    AT_REVISION = 6,
    AT_STEP_FLAGS = 8,
    AT_ATTEMPT = 12,
    AT_SEND_AT_MS = 16,
    AT_STEP_DEADLINE_MS = 24,
    AT_COMMAND_LSN = 32,
    STEP_BYTES = 40,
};

/* In a row of `done`, what is not where it is in one of `open`. */
enum { AT_ENDED_MS = 32 };

/* ------------------------------------------------------------------- open */

static void encode_step(const struct saga_step *step, uint8_t *at) {
    at[AT_PHASE] = step->phase;
    at[AT_OPERATION] = step->operation;
    at[AT_ORDER] = step->order;
    at[AT_SPENT] = step->spent;
    saga_put16(at + AT_INCARNATION, step->incarnation);
    saga_put16(at + AT_REVISION, step->revision);
    saga_put32(at + AT_STEP_FLAGS, step->flags);
    saga_put32(at + AT_ATTEMPT, step->attempt);
    saga_put64(at + AT_SEND_AT_MS, (uint64_t)step->send_at_ms);
    saga_put64(at + AT_STEP_DEADLINE_MS, (uint64_t)step->deadline_ms);
    saga_put64(at + AT_COMMAND_LSN, step->command_lsn);
}

static void decode_step(struct saga_step *step, const uint8_t *at) {
    step->phase = at[AT_PHASE];
    step->operation = at[AT_OPERATION];
    step->order = at[AT_ORDER];
    step->spent = at[AT_SPENT];
    step->incarnation = saga_get16(at + AT_INCARNATION);
    step->revision = saga_get16(at + AT_REVISION);
    step->flags = saga_get32(at + AT_STEP_FLAGS);
    step->attempt = saga_get32(at + AT_ATTEMPT);
    step->send_at_ms = (int64_t)saga_get64(at + AT_SEND_AT_MS);
    step->deadline_ms = (int64_t)saga_get64(at + AT_STEP_DEADLINE_MS);
    step->command_lsn = saga_get64(at + AT_COMMAND_LSN);
}

static void encode_state(const struct saga *state, uint8_t *value) {
    value[AT_STEP_COUNT] = state->step_count;
    saga_put32(value + AT_EPOCH, state->epoch);
    saga_put64(value + AT_STARTED_MS, (uint64_t)state->started_ms);
    saga_put64(value + AT_DEADLINE_MS, (uint64_t)state->deadline_ms);
    value[AT_DIRECTION] = state->direction;
    value[AT_PARKED] = state->parked;
    value[AT_WISH] = state->wish;
    value[AT_REASON] = state->reason;
    value[AT_PIVOT_PASSED] = state->pivot_passed;
    value[AT_STARTED_COUNT] = state->started_count;
    value[AT_PARKED_STEP] = state->parked_step;
    for (uint8_t i = 0; i < state->step_count; i++) {
        encode_step(&state->steps[i], value + AT_STEPS + (size_t)i * STEP_BYTES);
    }
}

/* Eight sizes from one power of two to the next: 2^p * (1 + e / 8). */
static uint32_t size_of_class(uint8_t class) {
    const uint64_t size = (UINT64_C(1) << class / 8) * (8 + class % 8) / 8;
    return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

static uint8_t class_of_size(uint32_t size) {
    uint8_t class = 0;
    while (size > 0 && class < UINT8_MAX && (class == 0 || size_of_class(class) < size)) {
        class ++;
    }
    return class;
}

size_t saga_open_row_encode(const struct saga_open_row *row, const struct saga *state,
                            uint8_t key[SAGA_OPEN_KEY_BYTES],
                            uint8_t value[SAGA_OPEN_VALUE_BYTES_MAX]) {
    const size_t size =
        state == NULL ? OPEN_HEAD_BYTES : AT_STEPS + (size_t)state->step_count * STEP_BYTES;
    assert(state != NULL || row->quarantined);
    assert(state == NULL || (state->step_count > 0 && state->outcome == 0 && !row->quarantined &&
                             state->last_lsn == row->last_lsn));
    memcpy(key, row->id.bytes, SAGA_OPEN_KEY_BYTES);
    memset(value, 0, size);
    value[AT_FORMAT] = SAGA_TABLES_FORMAT;
    value[AT_FLAGS] = (uint8_t)((row->quarantined ? QUARANTINED : 0) | (row->asked ? ASKED : 0));
    value[AT_BODY_CLASS] = class_of_size(row->body_bytes);
    saga_put64(value + AT_STARTED_LSN, row->started_lsn);
    saga_put64(value + AT_LAST_LSN, row->last_lsn);
    saga_put64(value + AT_DEFINITION_LSN, row->definition_lsn);
    if (state != NULL) {
        encode_state(state, value);
    }
    return size;
}

/* What every row begins with. */
static enum saga_record_error check_format(struct saga_bytes value, size_t size_min) {
    const uint8_t *at = value.data;
    if (value.size == 0) {
        return SAGA_RECORD_TRUNCATED;
    }
    if (at[AT_FORMAT] > SAGA_TABLES_FORMAT) {
        return SAGA_RECORD_FORMAT_NEWER;
    }
    if (at[AT_FORMAT] == 0) {
        return SAGA_RECORD_MALFORMED;
    }
    return value.size < size_min ? SAGA_RECORD_TRUNCATED : SAGA_RECORD_OK;
}

static void decode_state(const struct saga_open_row *row, struct saga *state, uint8_t step_count,
                         const uint8_t *at) {
    state->id = row->id;
    state->definition_lsn = row->definition_lsn;
    state->last_lsn = row->last_lsn;
    state->step_count = step_count;
    state->epoch = saga_get32(at + AT_EPOCH);
    state->started_ms = (int64_t)saga_get64(at + AT_STARTED_MS);
    state->deadline_ms = (int64_t)saga_get64(at + AT_DEADLINE_MS);
    state->direction = at[AT_DIRECTION];
    state->parked = at[AT_PARKED];
    state->wish = at[AT_WISH];
    state->reason = at[AT_REASON];
    state->pivot_passed = at[AT_PIVOT_PASSED];
    state->started_count = at[AT_STARTED_COUNT];
    state->parked_step = at[AT_PARKED_STEP];
    for (uint8_t i = 0; i < step_count; i++) {
        decode_step(&state->steps[i], at + AT_STEPS + (size_t)i * STEP_BYTES);
    }
}

enum saga_record_error saga_open_row_decode(struct saga_open_row *row, struct saga *state,
                                            struct saga_bytes key, struct saga_bytes value) {
    const uint8_t *at = value.data;
    const enum saga_record_error error = check_format(value, OPEN_HEAD_BYTES);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (key.size != SAGA_OPEN_KEY_BYTES) {
        return SAGA_RECORD_MALFORMED;
    }
    *row = (struct saga_open_row){
        .body_bytes = at[AT_BODY_CLASS] != 0 ? size_of_class(at[AT_BODY_CLASS]) : 0,
        .started_lsn = saga_get64(at + AT_STARTED_LSN),
        .last_lsn = saga_get64(at + AT_LAST_LSN),
        .definition_lsn = saga_get64(at + AT_DEFINITION_LSN),
        .quarantined = (at[AT_FLAGS] & QUARANTINED) != 0,
        .asked = (at[AT_FLAGS] & ASKED) != 0,
    };
    memcpy(row->id.bytes, key.data, SAGA_OPEN_KEY_BYTES);
    const uint8_t step_count = at[AT_STEP_COUNT];
    const size_t size =
        step_count == 0 ? OPEN_HEAD_BYTES : AT_STEPS + (size_t)step_count * STEP_BYTES;
    if (step_count > SAGA_STEPS_MAX || row->quarantined != (step_count == 0) ||
        row->started_lsn == 0 || row->started_lsn > row->last_lsn) {
        return SAGA_RECORD_MALFORMED;
    }
    if (value.size != size) {
        return value.size < size ? SAGA_RECORD_TRUNCATED : SAGA_RECORD_MALFORMED;
    }
    if (step_count > 0) {
        decode_state(row, state, step_count, at);
    }
    return SAGA_RECORD_OK;
}

/* ------------------------------------------------------------------- done */

void saga_done_key(uint8_t outcome, const struct saga_id *id, uint8_t key[SAGA_DONE_KEY_BYTES]) {
    key[0] = outcome;
    memcpy(key + 1, id->bytes, sizeof id->bytes);
}

void saga_done_row_encode(const struct saga_done_row *row, uint8_t key[SAGA_DONE_KEY_BYTES],
                          uint8_t value[SAGA_DONE_VALUE_BYTES]) {
    assert(row->outcome >= 1 && row->outcome <= SAGA_OUTCOME_COUNT);
    saga_done_key(row->outcome, &row->id, key);
    memset(value, 0, SAGA_DONE_VALUE_BYTES);
    value[AT_FORMAT] = SAGA_TABLES_FORMAT;
    saga_put64(value + AT_STARTED_LSN, row->started_lsn);
    saga_put64(value + AT_LAST_LSN, row->last_lsn);
    saga_put64(value + AT_DEFINITION_LSN, row->definition_lsn);
    saga_put64(value + AT_ENDED_MS, (uint64_t)row->ended_ms);
}

enum saga_record_error saga_done_row_decode(struct saga_done_row *row, struct saga_bytes key,
                                            struct saga_bytes value) {
    const uint8_t *at = value.data;
    const uint8_t *name = key.data;
    const enum saga_record_error error = check_format(value, SAGA_DONE_VALUE_BYTES);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (key.size != SAGA_DONE_KEY_BYTES || value.size != SAGA_DONE_VALUE_BYTES || name[0] < 1 ||
        name[0] > SAGA_OUTCOME_COUNT) {
        return SAGA_RECORD_MALFORMED;
    }
    *row = (struct saga_done_row){
        .outcome = name[0],
        .started_lsn = saga_get64(at + AT_STARTED_LSN),
        .last_lsn = saga_get64(at + AT_LAST_LSN),
        .definition_lsn = saga_get64(at + AT_DEFINITION_LSN),
        .ended_ms = (int64_t)saga_get64(at + AT_ENDED_MS),
    };
    memcpy(row->id.bytes, name + 1, sizeof row->id.bytes);
    return row->started_lsn > 0 && row->started_lsn <= row->last_lsn ? SAGA_RECORD_OK
                                                                     : SAGA_RECORD_MALFORMED;
}

/* ---------------------------------------------------- definitions and kept */

void saga_definition_key(uint64_t lsn, uint8_t key[SAGA_DEFINITION_KEY_BYTES]) {
    saga_put64(key, lsn);
}

enum saga_record_error saga_definition_row_decode(struct saga_record *record, struct saga_bytes key,
                                                  struct saga_bytes value) {
    if (key.size != SAGA_DEFINITION_KEY_BYTES) {
        return SAGA_RECORD_MALFORMED;
    }
    const enum saga_record_error error = saga_record_decode(value.data, value.size, record);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    record->lsn = saga_get64(key.data);
    return record->lsn > 0 && record->fact == SAGA_DEFINITION_LOADED ? SAGA_RECORD_OK
                                                                     : SAGA_RECORD_MALFORMED;
}

void saga_kept_key(const struct saga_id *saga, uint64_t lsn, uint8_t key[SAGA_KEPT_KEY_BYTES]) {
    memcpy(key, saga->bytes, sizeof saga->bytes);
    saga_put64(key + sizeof saga->bytes, lsn);
}

enum saga_record_error saga_kept_row_decode(struct saga_record *record, struct saga_bytes key,
                                            struct saga_bytes value) {
    const uint8_t *name = key.data;
    if (key.size != SAGA_KEPT_KEY_BYTES) {
        return SAGA_RECORD_MALFORMED;
    }
    const enum saga_record_error error = saga_record_decode(value.data, value.size, record);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    record->lsn = saga_get64(name + sizeof record->saga.bytes);
    return record->lsn > record->previous_lsn &&
                   memcmp(record->saga.bytes, name, sizeof record->saga.bytes) == 0
               ? SAGA_RECORD_OK
               : SAGA_RECORD_MALFORMED;
}

/* ------------------------------------------------------------------- owed */

enum { AT_OWED_STARTED_LSN = 8, AT_OWED_SAGA = 16 };

void saga_owed_row_encode(const struct saga_owed_row *row, uint8_t key[SAGA_OWED_KEY_BYTES],
                          uint8_t value[SAGA_OWED_VALUE_BYTES]) {
    saga_put64(key, row->ended_lsn);
    memset(value, 0, SAGA_OWED_VALUE_BYTES);
    value[AT_FORMAT] = SAGA_TABLES_FORMAT;
    saga_put64(value + AT_OWED_STARTED_LSN, row->started_lsn);
    memcpy(value + AT_OWED_SAGA, row->id.bytes, sizeof row->id.bytes);
}

enum saga_record_error saga_owed_row_decode(struct saga_owed_row *row, struct saga_bytes key,
                                            struct saga_bytes value) {
    const uint8_t *at = value.data;
    const enum saga_record_error error = check_format(value, SAGA_OWED_VALUE_BYTES);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (key.size != SAGA_OWED_KEY_BYTES || value.size != SAGA_OWED_VALUE_BYTES) {
        return SAGA_RECORD_MALFORMED;
    }
    row->ended_lsn = saga_get64(key.data);
    row->started_lsn = saga_get64(at + AT_OWED_STARTED_LSN);
    memcpy(row->id.bytes, at + AT_OWED_SAGA, sizeof row->id.bytes);
    return row->started_lsn > 0 && row->started_lsn < row->ended_lsn ? SAGA_RECORD_OK
                                                                     : SAGA_RECORD_MALFORMED;
}
