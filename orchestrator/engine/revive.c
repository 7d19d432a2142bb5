#include "revive.h"

#include <stdlib.h>

#include "chain.h"

struct saga *saga_revive(struct saga_log *log, const struct saga_plan *plan,
                         const struct saga_id *id, uint64_t last_lsn) {
    struct saga_chain chain;
    struct saga *saga = NULL;
    if (saga_chain_read_batch(&chain, log, id, last_lsn, NULL) != SAGA_OK) {
        return NULL;
    }
    if (saga_chain_fold(&chain, plan, &saga, NULL) != SAGA_OK) {
        free(saga);
        saga = NULL;
    }
    saga_chain_fini(&chain);
    return saga;
}
