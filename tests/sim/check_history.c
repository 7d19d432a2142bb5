/* What the log lets go of: nothing that is needed, and it says so. */
#include <inttypes.h>

#include "check_state.h"

static uint64_t purged_lsn; /* the log says that all is gone up to here, but for what is kept */

void check_history_begin(void) {
    purged_lsn = 0;
}

void check_history_mark(const struct saga_record *record) {
    if (record->through_lsn <= purged_lsn || record->through_lsn >= record->lsn) {
        sim_violation("X5", "record %" PRIu64 ": history is said to be purged up to %" PRIu64,
                      record->lsn, record->through_lsn);
    }
    purged_lsn = record->through_lsn;
}

void sim_check_dropped(const struct saga_record *record, bool kept) {
    if (saga_fact_is_of_log(record->fact)) {
        return;
    }
    const struct check_saga *saga = check_find(&record->saga);
    if (!kept && saga != NULL && saga->outcome == 0) {
        sim_violation("X5", "%s: its record %" PRIu64 " is gone, and it has not ended",
                      check_text(saga, SAGA_STEP_NONE), record->lsn);
    }
}

void sim_check_base(uint64_t base_lsn) {
    if (purged_lsn >= base_lsn) {
        sim_violation("X5",
                      "the log begins with record %" PRIu64
                      ", and says that all is gone up to %" PRIu64,
                      base_lsn, purged_lsn);
    }
}
