#include "revive.h"

#include <stdlib.h>

#include "chain.h"

static bool grow(struct saga_chain *chain, size_t *room) {
    if (chain->count < *room) {
        return true;
    }
    size_t more = *room == 0 ? 32 : *room * 2;
    struct saga_record *records = realloc(chain->records, more * sizeof *records);
    if (records == NULL) {
        return false;
    }
    chain->records = records;
    *room = more;
    return true;
}

/* From the last to the first; some may be in the batch that is not committed
 * yet, so a reader's view would not do. */
static bool read_back(struct saga_chain *chain, struct saga_log *log, uint64_t lsn) {
    size_t room = 0;
    while (lsn != 0) {
        struct saga_record record;
        if (!grow(chain, &room) || saga_log_read(log, lsn, &record, NULL) != SAGA_OK) {
            return false;
        }
        chain->records[chain->count++] = record;
        lsn = record.previous_lsn;
    }
    return true;
}

static void reverse(struct saga_chain *chain) {
    for (size_t i = 0; i < chain->count / 2; i++) {
        struct saga_record record = chain->records[i];
        chain->records[i] = chain->records[chain->count - 1 - i];
        chain->records[chain->count - 1 - i] = record;
    }
}

struct saga *saga_revive(struct saga_log *log, const struct saga_plan *plan, uint64_t last_lsn) {
    struct saga_chain chain = {0};
    struct saga *saga = NULL;
    if (read_back(&chain, log, last_lsn)) {
        reverse(&chain);
        if (saga_chain_fold(&chain, plan, &saga, NULL) != SAGA_OK) {
            free(saga);
            saga = NULL;
        }
    }
    saga_chain_fini(&chain);
    return saga;
}
