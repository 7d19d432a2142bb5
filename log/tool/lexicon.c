#include "lexicon.h"

#include <stdlib.h>
#include <string.h>

#include "bigendian.h"
#include "record.h"

/* Sagas that are remembered: some are open for long, most end soon. */
#define PLACES (1u << 14)

/* A saga has one place, by its id; a newer one takes it over. */
struct place {
    struct saga_id id;
    uint64_t definition_lsn; /* 0: its first record cannot be had */
};

struct known {
    uint64_t lsn;
    struct saga_definition *definition; /* NULL: what stands there is none */
};

struct saga_lexicon {
    struct place places[PLACES];
    struct known *known; /* few: a log has as many as its sagas have had versions */
    size_t known_count;
};

struct saga_lexicon *saga_lexicon_open(void) {
    return calloc(1, sizeof(struct saga_lexicon));
}

void saga_lexicon_close(struct saga_lexicon *lexicon) {
    if (lexicon != NULL) {
        for (size_t i = 0; i < lexicon->known_count; i++) {
            saga_definition_free(lexicon->known[i].definition);
        }
        free(lexicon->known);
        free(lexicon);
    }
}

/* ------------------------------------------------------------- definitions */

/* NULL: it cannot be read. */
static struct saga_definition *parse(const struct saga_record *record) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    if (record->fact != SAGA_DEFINITION_LOADED || record->payload.size == 0) {
        return NULL;
    }
    if (saga_definition_parse(record->payload.data, record->payload.size, &definition,
                              &diagnostics) != SAGA_OK) {
        saga_diagnostics_free(&diagnostics);
        return NULL;
    }
    definition->plan.definition_lsn = record->lsn;
    return definition;
}

/* From the table `definitions`: its block may be gone. */
static enum saga_error read_row(struct saga_log_reader *reader, uint64_t lsn,
                                struct saga_record *record) {
    uint8_t key[8];
    struct saga_bytes value;
    saga_put64(key, lsn);
    const enum saga_error error =
        saga_log_reader_row(reader, SAGA_TABLE_DEFINITIONS,
                            (struct saga_bytes){.data = key, .size = sizeof key}, &value, NULL);
    if (error != SAGA_OK || saga_record_decode(value.data, value.size, record) != SAGA_RECORD_OK) {
        return SAGA_ERROR_NOT_FOUND;
    }
    record->lsn = lsn;
    return SAGA_OK;
}

static const struct saga_definition *learn(struct saga_lexicon *lexicon,
                                           struct saga_log_reader *reader, uint64_t lsn) {
    struct saga_record record;
    struct known *grown =
        reallocarray(lexicon->known, lexicon->known_count + 1, sizeof *lexicon->known);
    if (grown == NULL) {
        return NULL;
    }
    lexicon->known = grown;
    struct known *known = &grown[lexicon->known_count++];
    *known = (struct known){.lsn = lsn};
    if (saga_log_reader_read(reader, NULL, lsn, &record, NULL) == SAGA_OK ||
        read_row(reader, lsn, &record) == SAGA_OK) {
        known->definition = parse(&record);
    }
    return known->definition;
}

const struct saga_definition *saga_lexicon_definition(struct saga_lexicon *lexicon,
                                                      struct saga_log_reader *reader,
                                                      uint64_t lsn) {
    for (size_t i = lexicon->known_count; i > 0; i--) {
        if (lexicon->known[i - 1].lsn == lsn) {
            return lexicon->known[i - 1].definition;
        }
    }
    return learn(lexicon, reader, lsn);
}

/* ------------------------------------------------------------------- sagas */

static bool same_saga(const struct saga_id *a, const struct saga_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct place *place_of(struct saga_lexicon *lexicon, const struct saga_id *id) {
    uint64_t word;
    memcpy(&word, id->bytes + 8, sizeof word); /* the random half of a UUIDv7 */
    return &lexicon->places[(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PLACES];
}

/* What the first record of the saga's chain names; 0: it cannot be had. */
static uint64_t look_back(struct saga_log_reader *reader, const struct saga_record *record) {
    struct saga_record earlier = *record;
    /* Ends: the reader refuses a record that does not lead backwards. */
    while (earlier.fact != SAGA_STARTED) {
        if (earlier.previous_lsn == 0 ||
            saga_log_reader_read(reader, &record->saga, earlier.previous_lsn, &earlier, NULL) !=
                SAGA_OK ||
            !same_saga(&earlier.saga, &record->saga)) {
            return 0;
        }
    }
    return earlier.definition_lsn;
}

const struct saga_definition *saga_lexicon_find(struct saga_lexicon *lexicon,
                                                struct saga_log_reader *reader,
                                                const struct saga_record *record) {
    if (record->fact == SAGA_DEFINITION_LOADED) {
        return saga_lexicon_definition(lexicon, reader, record->lsn);
    }
    if (saga_fact_is_of_log(record->fact)) {
        return NULL;
    }
    struct place *place = place_of(lexicon, &record->saga);
    if (!same_saga(&place->id, &record->saga)) {
        *place = (struct place){
            .id = record->saga,
            .definition_lsn = look_back(reader, record),
        };
    }
    return place->definition_lsn == 0
               ? NULL
               : saga_lexicon_definition(lexicon, reader, place->definition_lsn);
}
