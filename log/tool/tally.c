#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "record.h"

#define PLACES_FIRST 1024

/* The command of a step that is out. */
struct out {
    int64_t issued_ms; /* -1: none is */
    uint32_t attempt;
};

/* A saga that is under way. */
struct going {
    struct saga_id id;
    struct saga_tally_row *row;
    int64_t started_ms;
    struct going *next; /* that has the same place */
    struct out out[];   /* of each step */
};

struct saga_tally {
    struct saga_tally_row **rows; /* they do not move */
    size_t row_count;
    struct going **places; /* a power of two of them */
    size_t place_count, going_count;
    uint8_t *bytes; /* room for any record */
};

struct saga_tally *saga_tally_open(void) {
    struct saga_tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL) {
        return NULL;
    }
    const struct saga_record largest = {.key.size = SAGA_KEY_BYTES_MAX,
                                        .payload.size = SAGA_PAYLOAD_BYTES_MAX,
                                        .content.size = SAGA_PAYLOAD_BYTES_MAX};
    tally->place_count = PLACES_FIRST;
    tally->places = calloc(PLACES_FIRST, sizeof(struct going *));
    tally->bytes = malloc(saga_record_size_max(&largest));
    if (tally->places == NULL || tally->bytes == NULL) {
        saga_tally_close(tally);
        return NULL;
    }
    return tally;
}

void saga_tally_close(struct saga_tally *tally) {
    if (tally == NULL) {
        return;
    }
    for (size_t i = 0; tally->places != NULL && i < tally->place_count; i++) {
        for (struct going *going = tally->places[i]; going != NULL;) {
            struct going *next = going->next;
            free(going);
            going = next;
        }
    }
    for (size_t i = 0; i < tally->row_count; i++) {
        free(tally->rows[i]->steps);
        free(tally->rows[i]);
    }
    free(tally->rows);
    free(tally->places);
    free(tally->bytes);
    free(tally);
}

size_t saga_tally_count(const struct saga_tally *tally) {
    return tally->row_count;
}

const struct saga_tally_row *saga_tally_row(const struct saga_tally *tally, size_t index) {
    return tally->rows[index];
}

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the counts of this log");
}

/* --------------------------------------------------------------- definitions */

static uint8_t steps_of(const struct saga_tally_row *row) {
    return row->definition != NULL ? row->definition->plan.step_count : 0;
}

static struct saga_tally_row *find_row(const struct saga_tally *tally, uint64_t definition_lsn) {
    for (size_t i = tally->row_count; i > 0; i--) {
        if (tally->rows[i - 1]->definition_lsn == definition_lsn) {
            return tally->rows[i - 1];
        }
    }
    return NULL;
}

/* NULL: no memory. */
static struct saga_tally_row *make_row(struct saga_tally *tally, uint64_t definition_lsn,
                                       const struct saga_definition *definition) {
    struct saga_tally_row **grown =
        reallocarray(tally->rows, tally->row_count + 1, sizeof(struct saga_tally_row *));
    if (grown == NULL) {
        return NULL;
    }
    tally->rows = grown;
    struct saga_tally_row *row = calloc(1, sizeof *row);
    if (row == NULL) {
        return NULL;
    }
    row->definition_lsn = definition_lsn;
    row->definition = definition;
    row->steps = calloc((size_t)steps_of(row) + 1, sizeof *row->steps);
    if (row->steps == NULL) {
        free(row);
        return NULL;
    }
    tally->rows[tally->row_count++] = row;
    return row;
}

/* --------------------------------------------------------------- under way */

static size_t place_of(const struct saga_id *id, size_t place_count) {
    uint64_t first;
    uint64_t second;
    memcpy(&first, id->bytes, sizeof first);
    memcpy(&second, id->bytes + 8, sizeof second);
    const uint64_t word =
        (second ^ first * UINT64_C(0xff51afd7ed558ccd)) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(word ^ word >> 32) & (place_count - 1);
}

/* Where the saga hangs, or would. */
static struct going **find(const struct saga_tally *tally, const struct saga_id *id) {
    struct going **going = &tally->places[place_of(id, tally->place_count)];
    while (*going != NULL && memcmp(&(*going)->id, id, sizeof *id) != 0) {
        going = &(*going)->next;
    }
    return going;
}

static bool grow(struct saga_tally *tally) {
    const size_t larger = 2 * tally->place_count;
    struct going **places = calloc(larger, sizeof(struct going *));
    if (places == NULL) {
        return false;
    }
    for (size_t i = 0; i < tally->place_count; i++) {
        for (struct going *going = tally->places[i]; going != NULL;) {
            struct going *next = going->next;
            struct going **place = &places[place_of(&going->id, larger)];
            going->next = *place;
            *place = going;
            going = next;
        }
    }
    free(tally->places);
    tally->places = places;
    tally->place_count = larger;
    return true;
}

static enum saga_error begin(struct saga_tally *tally, const struct saga_record *record,
                             const struct saga_definition *definition, struct saga_fault *fault) {
    struct saga_tally_row *row = find_row(tally, record->definition_lsn);
    row = row != NULL ? row : make_row(tally, record->definition_lsn, definition);
    if (row == NULL || (tally->going_count >= tally->place_count && !grow(tally))) {
        return no_memory(fault);
    }
    struct going **place = find(tally, &record->saga);
    if (*place != NULL) {
        return SAGA_OK; /* it has begun: verify says what is wrong with that */
    }
    const uint8_t steps = steps_of(row);
    struct going *going = malloc(sizeof *going + steps * sizeof going->out[0]);
    if (going == NULL) {
        return no_memory(fault);
    }
    *going = (struct going){.id = record->saga, .row = row, .started_ms = record->at_ms};
    for (uint8_t i = 0; i < steps; i++) {
        going->out[i].issued_ms = -1;
    }
    *place = going;
    tally->going_count++;
    row->sagas++;
    return SAGA_OK;
}

static void end(struct saga_tally *tally, struct going **place, const struct saga_record *record) {
    struct going *going = *place;
    saga_histogram_add(&going->row->duration, record->at_ms - going->started_ms);
    *place = going->next;
    free(going);
    tally->going_count--;
}

/* ------------------------------------------------------------------- counting */

static bool is_definite(uint8_t verdict) {
    return verdict == SAGA_DONE || verdict == SAGA_REJECTED || verdict == SAGA_FENCED ||
           verdict == SAGA_NOOP;
}

/* An attempt is known by the first record that names it. */
static void note_attempt(struct out *out, struct saga_tally_step *step, uint32_t attempt) {
    if (attempt > out->attempt) {
        step->retries += attempt - (out->attempt > 0 ? out->attempt : 1);
        out->attempt = attempt;
    }
}

static void note_step(struct out *out, struct saga_tally_step *step,
                      const struct saga_record *record) {
    if (record->fact == SAGA_COMMAND_ISSUED) {
        *out = (struct out){.issued_ms = record->at_ms, .attempt = 1};
    } else if (record->fact == SAGA_COMMAND_UNSENT) {
        step->unsent++;
        note_attempt(out, step, record->attempt);
    } else if (record->fact == SAGA_ATTEMPT_EXPIRED) {
        step->unanswered++;
        note_attempt(out, step, record->attempt);
    } else if (record->fact == SAGA_REPLY_RECEIVED) {
        note_attempt(out, step, record->attempt);
    }
    if (record->fact != SAGA_REPLY_RECEIVED || !is_definite(record->verdict) ||
        out->issued_ms < 0) {
        return;
    }
    if (record->operation == SAGA_ACTION) {
        saga_histogram_add(&step->action, record->at_ms - out->issued_ms);
    } else if (record->operation == SAGA_COMPENSATION) {
        saga_histogram_add(&step->compensation, record->at_ms - out->issued_ms);
    }
    out->issued_ms = -1;
}

static void note_saga(struct saga_tally_row *row, const struct saga_record *record) {
    const uint8_t reason = record->reason < SAGA_TALLY_REASONS ? record->reason : 0;
    row->backward[reason] += record->fact == SAGA_COMPENSATION_STARTED;
    row->parked[reason] += record->fact == SAGA_PARKED;
}

enum saga_error saga_tally_note(struct saga_tally *tally, const struct saga_record *record,
                                const struct saga_definition *definition,
                                struct saga_fault *fault) {
    if (record->fact == SAGA_STARTED) {
        const enum saga_error error = begin(tally, record, definition, fault);
        if (error != SAGA_OK) {
            return error;
        }
    }
    struct going **place = find(tally, &record->saga);
    struct going *going = *place;
    if (going == NULL) {
        return SAGA_OK; /* late, or its start is not in the log any more */
    }
    struct saga_tally_row *row = going->row;
    row->records++;
    row->bytes += saga_record_encode(record, tally->bytes);
    note_saga(row, record);
    if (record->step < steps_of(row)) {
        note_step(&going->out[record->step], &row->steps[record->step], record);
    }
    if (record->fact == SAGA_ENDED) {
        end(tally, place, record);
    }
    return SAGA_OK;
}
