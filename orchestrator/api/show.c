#include "show.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "exchange.h"
#include "ids.h"
#include "view.h"

static bool quarantined(const struct saga_listing *listing) {
    return strcmp(listing->status, "quarantined") == 0;
}

static const struct saga_definition *definition_of(const struct saga_exchange_world *world,
                                                   const struct saga_listing *listing) {
    return saga_engine_definition(world->engine, listing->definition_lsn);
}

/* Folds what was read, and makes JSON of it while the reader's view is there. */
static json_t *show_chain(const struct saga_exchange_world *world,
                          const struct saga_listing *listing, const struct saga_chain *chain,
                          struct saga_fault *fault) {
    const struct saga_definition *definition = definition_of(world, listing);
    struct saga *saga = NULL;
    enum saga_error error;
    if (listing->left_out) { /* what brought recovery down would bring this thread down */
        error = saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                               "recovery was brought down by it three times");
    } else if (definition != NULL) {
        error = saga_chain_fold(chain, &definition->plan, &saga, fault);
    } else {
        error = saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED, "its definition cannot be read");
    }
    json_t *json = NULL;
    if (error == SAGA_OK || quarantined(listing)) {
        const struct saga_view view = {
            .id = listing->id,
            .chain = chain,
            .saga = saga,
            .definition = definition,
            .status = quarantined(listing) ? "quarantined" : NULL,
        };
        json = saga_view_json(&view);
    }
    free(saga);
    return json;
}

static json_t *read_and_show(const struct saga_exchange_world *world,
                             const struct saga_listing *listing, struct saga_fault *fault) {
    struct saga_log_reader *reader;
    struct saga_chain chain;
    json_t *json = NULL;
    if (saga_log_reader_open(world->log, &reader, fault) != SAGA_OK) {
        return NULL;
    }
    if (saga_chain_read(&chain, reader, &listing->id, listing->last_lsn, fault) == SAGA_OK) {
        json = show_chain(world, listing, &chain, fault);
        saga_chain_fini(&chain);
    }
    saga_log_reader_close(reader);
    return json;
}

json_t *saga_show(const struct saga_exchange_world *world, const struct saga_listing *listing,
                  struct saga_fault *fault) {
    fault->error = SAGA_OK;
    json_t *json = read_and_show(world, listing, fault);
    if (!quarantined(listing)) {
        return json;
    }
    if (json == NULL) { /* not even its records can be read: shown all the same */
        const struct saga_view view = {.id = listing->id, .status = listing->status};
        json = saga_view_json(&view);
    }
    const char *why = fault->error != SAGA_OK
                          ? fault->text
                          : "recovery was brought down by it; see the daemon's log";
    if (json_object_set_new(json, "detail", json_string(why)) != 0) {
        json_decref(json);
        json = NULL;
    }
    fault->error = SAGA_OK;
    return json;
}

/* UUIDv7: its first 48 bits are ms since 1970. */
static int64_t time_of(const struct saga_id *id) {
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id->bytes[i];
    }
    return ms;
}

json_t *saga_show_row(const struct saga_exchange_world *world, const struct saga_listing *listing) {
    const struct saga_definition *definition = definition_of(world, listing);
    char id[SAGA_ID_TEXT_SIZE];
    char started[SAGA_TIME_TEXT_SIZE];
    return json_pack("{s:s, s:s?, s:o, s:s, s:s}", "id", saga_id_text(&listing->id, id), "saga",
                     definition != NULL ? definition->name : NULL, "version",
                     definition != NULL ? json_integer(definition->version) : json_null(), "status",
                     listing->status, "started_at", saga_time_text(time_of(&listing->id), started));
}
