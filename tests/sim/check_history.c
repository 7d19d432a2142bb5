/* What the log lets go of: nothing that is needed, and it says so. */
#include <inttypes.h>

#include "agenda.h"
#include "check_state.h"
#include "ids.h"
#include "marks.h"
#include "swarm.h"

static uint64_t purged_lsn; /* the log says that all is gone up to here, but for what is kept */

static bool times_are_told; /* no clock goes by another: it can be said when what is over */
static bool hurries;        /* the log is full at times */

void check_history_begin(void) {
    times_are_told =
        sim_swarm.rates[SIM_FAULT_WALL_JUMP] == 0 && sim_swarm.rates[SIM_FAULT_REBOOT] == 0;
    hurries = sim_swarm.rates[SIM_FAULT_LOG_FULL] > 0;
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
    if (saga != NULL && kept == saga->gone) {
        sim_violation("X5", "%s: its record %" PRIu64 " is %s", check_text(saga, SAGA_STEP_NONE),
                      record->lsn, kept ? "kept, and nobody knows it" : "gone, and it is known");
    }
    sim_mark(kept ? SIM_MARK_RECORD_KEPT : SIM_MARK_RECORD_DROPPED);
}

static bool is_over(const struct check_saga *saga) {
    const int64_t kept_ms = sim_swarm.retention.ms[saga->outcome];
    return kept_ms != INT64_MAX &&
           (!times_are_told || hurries || sim_now() - saga->ended_ms >= kept_ms - SIM_SLACK_MS);
}

void sim_check_gone(uint8_t outcome, const struct saga_id *id) {
    struct check_saga *saga = check_find(id);
    if (saga == NULL || saga->gone || saga->outcome == 0 || saga->outcome != outcome) {
        sim_violation("X5", "a saga goes that is not there, or has not ended so");
    }
    if (!is_over(saga)) {
        sim_violation("X5", "%s goes %lld ms after its end", check_text(saga, SAGA_STEP_NONE),
                      (long long)(sim_now() - saga->ended_ms));
    }
    if (saga->asker[0] != '\0' && !saga->is_confirmed) {
        sim_violation("X5", "%s goes, and '%s' was not told", check_text(saga, SAGA_STEP_NONE),
                      saga->asker);
    }
    sim_trace("gone       %s", check_text(saga, SAGA_STEP_NONE));
    saga->gone = true;
    saga->gone_commit = check_commit;
    sim_mark(SIM_MARK_SAGA_GONE);
}

bool check_was_there(const struct check_saga *saga) {
    return !saga->gone || saga->gone_commit + 1 >= check_commit;
}

/* Nobody who is open is as old, or its key would be remembered. */
bool check_key_is_forgotten(const struct check_saga *saga, int64_t at_ms) {
    if (sim_swarm.retention.keys_ms == INT64_MAX) {
        return false;
    }
    if (!times_are_told) {
        return true;
    }
    for (unsigned i = 0; i < check_saga_count; i++) {
        const struct check_saga *other = &check_sagas[i];
        if (other->outcome == 0 && saga_id_ms(&other->id) <= saga_id_ms(&saga->id)) {
            return false;
        }
    }
    return saga_id_ms(&saga->id) < at_ms - sim_swarm.retention.keys_ms;
}

void sim_check_base(uint64_t base_lsn) {
    if (purged_lsn >= base_lsn) {
        sim_violation("X5",
                      "the log begins with record %" PRIu64
                      ", and says that all is gone up to %" PRIu64,
                      base_lsn, purged_lsn);
    }
}
