/* What is said: by participants that keep a fence, to the broker, to clients and operators. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "check_state.h"
#include "disk.h"
#include "marks.h"

void sim_check_said(const struct saga_command_id *id, uint8_t verdict, bool replayed) {
    struct check_saga *saga = check_find(&id->saga);
    assert(saga != NULL); /* or no command of its had left */
    struct check_step *step = &saga->steps[id->step];
    if (id->operation == SAGA_ACTION && verdict == SAGA_DONE && step->closed && !saga->purged) {
        sim_violation("C4", "%s is called done by a participant that has closed it",
                      check_text(saga, id->step));
    }
    bool undone = id->operation == SAGA_COMPENSATION && verdict == SAGA_DONE && !replayed;
    if (undone && step->cleared) {
        sim_violation("O2", "%s is compensated after it was settled", check_text(saga, id->step));
    }
    step->cleared = step->cleared || (id->operation == SAGA_SETTLE && verdict == SAGA_DONE);
    step->closed =
        step->closed || step->cleared ||
        (id->operation == SAGA_COMPENSATION && (verdict == SAGA_DONE || verdict == SAGA_NOOP)) ||
        (id->operation == SAGA_FENCE && verdict == SAGA_FENCED);
}

static bool same_bytes(const void *a, size_t a_size, const void *b, size_t b_size) {
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static bool has_record(const struct check_saga *saga, const struct saga_request *request) {
    for (uint64_t lsn = saga->last_lsn; lsn != 0;) {
        struct saga_record record;
        sim_disk_read(lsn, &record);
        if ((record.fact == SAGA_REPLY_RECEIVED || record.fact == SAGA_LATE_REPLY_RECEIVED) &&
            record.step == request->command.step &&
            record.operation == request->command.operation &&
            record.revision == request->command.revision && record.attempt == request->attempt &&
            same_bytes(record.payload.data, record.payload.size, request->body.data,
                       request->body.size)) {
            return true;
        }
        lsn = record.previous_lsn;
    }
    return false;
}

/* A word about the attempt that is out, or a definite one about the latest command, has to be
 * taken. */
static bool is_thrown_away(const struct check_saga *saga, const struct saga_request *request) {
    const struct saga_command_id *id = &request->command;
    if (request->answer != SAGA_ANSWER_STALE || request->verdict == 0 || id->incarnation != 1 ||
        id->step >= saga->shape->step_count || id->operation > SAGA_OPERATION_COUNT) {
        return false;
    }
    const struct check_step *step = &saga->steps[id->step];
    bool latest = id->revision == step->revisions[id->operation];
    if (sim_rule_verdict(id->operation, request->verdict) != 0) {
        return latest;
    }
    return latest && saga->outcome == 0 && id->operation == step->op && step->open &&
           (step->sent_ms >= 0 || step->survived) &&
           (request->attempt == 0 || request->attempt == step->attempt);
}

void sim_check_acknowledged(const struct saga_request *request) {
    const struct check_saga *saga = check_find(&request->command.saga);
    if (request->result != SAGA_RESULT_OK) {
        return;
    }
    if (saga == NULL) {
        sim_violation("E7", "a reply for a saga that is not durable is taken");
    }
    if (is_thrown_away(saga, request)) {
        sim_violation("X3", "%s: a reply that means something is thrown away",
                      check_text(saga, request->command.step));
    }
    bool recorded = request->answer == SAGA_ANSWER_TAKEN || request->answer == SAGA_ANSWER_LATE;
    if (recorded && !has_record(saga, request)) {
        sim_violation("E7", "%s: a reply is acknowledged, and is not durable",
                      check_text(saga, request->command.step));
    }
}

void sim_check_operated(const struct saga_request *request) {
    const struct check_saga *saga = check_find(&request->id);
    if (request->result != SAGA_RESULT_ACCEPTED) {
        return;
    }
    if (saga == NULL) {
        sim_violation("E7", "an operator is answered about a saga that is not durable");
    }
    static const uint8_t verbs[] = {
        [SAGA_REQUEST_RETRY] = SAGA_VERB_RETRY,
        [SAGA_REQUEST_RESOLVE] = SAGA_VERB_RESOLVE,
        [SAGA_REQUEST_MARK_COMPENSATED] = SAGA_VERB_MARK_COMPENSATED,
        [SAGA_REQUEST_WRITE_OFF] = SAGA_VERB_WRITE_OFF,
    };
    bool cancel = request->type == SAGA_REQUEST_CANCEL;
    /* A deadline's wish may be there already, to which a cancel adds nothing. */
    if (cancel ? !saga->cancelled && saga->wish == 0 && !saga->pivot_passed && !saga->backward
               : (saga->deeds & (UINT32_C(1) << verbs[request->type])) == 0) {
        sim_violation("E7", "%s: an operator is answered, and nothing is durable",
                      check_text(saga, SAGA_STEP_NONE));
    }
}

static const char *status_of(const struct check_saga *saga) {
    static const char *const outcomes[] = {
        [SAGA_COMPLETED] = "completed",
        [SAGA_COMPENSATED] = "compensated",
        [SAGA_COMPLETED_MANUALLY] = "completed_manually",
        [SAGA_COMPENSATED_MANUALLY] = "compensated_manually",
        [SAGA_INCONSISTENT] = "inconsistent",
    };
    if (saga->outcome != 0) {
        return outcomes[saga->outcome];
    }
    return saga->parked != 0 ? "parked" : saga->backward ? "compensating" : "running";
}

void sim_check_seen(const struct saga_listing *listing) {
    struct check_saga *saga = check_find(&listing->id);
    if (saga == NULL || listing->last_lsn > saga->last_lsn || !check_was_there(saga)) {
        sim_violation("X1", "a client is shown what is not durable");
    }
    if (listing->last_lsn < saga->seen_lsn) {
        sim_violation("X1", "%s: a client is shown an older state than before",
                      check_text(saga, SAGA_STEP_NONE));
    }
    saga->seen_lsn = listing->last_lsn;
    if (listing->last_lsn == saga->last_lsn && strcmp(listing->status, status_of(saga)) != 0) {
        sim_violation("X1", "%s is shown as %s, and is %s", check_text(saga, SAGA_STEP_NONE),
                      listing->status, status_of(saga));
    }
}

static bool is_listed(const struct saga_request *request, uint64_t position) {
    return request->saga == NULL ||
           strcmp(request->saga, check_sagas[position - 1].shape->name) == 0;
}

static bool is_older(const struct saga_id *id, const struct saga_id *than) {
    return memcmp(id, than, sizeof *id) < 0;
}

/* A saga that belongs to the list and is older than `before`, but newer than `after`, was
 * known when the list was asked for: so it has to be there. */
static void check_none_between(const struct saga_request *request, unsigned known,
                               const struct saga_id *before, const struct saga_id *after) {
    for (uint64_t position = 1; position <= known; position++) {
        const struct saga_id *id = &check_sagas[position - 1].id;
        if (!check_sagas[position - 1].gone && is_listed(request, position) &&
            is_older(id, before) && is_older(after, id)) {
            sim_violation("X1", "the list leaves out saga %" PRIu64, position);
        }
    }
}

struct saga_id sim_check_saga_before(unsigned number) {
    static const struct saga_id none = {{0}};
    return number == 0 || number > sim_check_saga_count() ? none : check_sagas[number - 1].id;
}

void sim_check_listed(const struct saga_request *request, unsigned known) {
    static const struct saga_id none = {{0}};
    struct saga_id before = request->id;
    if (request->result != SAGA_RESULT_OK) {
        sim_violation("X1", "a list is refused: %s", request->text);
    }
    if (memcmp(&before, &none, sizeof none) == 0) {
        memset(&before, 0xff, sizeof before);
    }
    for (size_t i = 0; i < request->listing_count; i++) {
        const struct saga_listing *listing = &request->listings[i];
        sim_check_seen(listing);
        const uint64_t position = (uint64_t)(check_find(&listing->id) - check_sagas) + 1;
        if (!is_listed(request, position) || !is_older(&listing->id, &before)) {
            sim_violation("X1",
                          "saga %" PRIu64 " is listed, and not of the list, or not in its order",
                          position);
        }
        check_none_between(request, known, &before, &listing->id);
        before = listing->id;
    }
    if (request->listing_count < request->limit) {
        check_none_between(request, known, &before, &none);
    }
    if (request->listing_count > 1) {
        sim_mark(SIM_MARK_LISTED);
    }
}

void sim_check_counted(const struct saga_engine_stats *stats) {
    unsigned open = 0;
    unsigned parked = 0;
    unsigned known = 0;
    unsigned going = 0; /* since the counters were read */
    for (unsigned i = 0; i < check_saga_count; i++) {
        known += !check_sagas[i].gone;
        going += check_sagas[i].gone && check_was_there(&check_sagas[i]);
        open += check_sagas[i].outcome == 0;
        parked += check_sagas[i].outcome == 0 && check_sagas[i].parked != 0;
    }
    if (stats->last_lsn > check_last_lsn) {
        sim_violation("X1", "the counters tell of what is not durable");
    }
    if (stats->core.quarantined != 0) {
        sim_violation("X1", "%" PRIu64 " sagas are counted as out of service",
                      stats->core.quarantined);
    }
    if (stats->last_lsn < check_last_lsn) {
        return; /* more became durable in the same commit, after the counters were read */
    }
    sim_mark(parked > 0 ? SIM_MARK_COUNTED_PARKED : SIM_MARK_COUNTED);
    if (stats->core.open != open || stats->core.parked != parked || stats->sagas_known < known ||
        stats->sagas_known > known + going) {
        sim_violation("X1",
                      "counted are %" PRIu64 " open, %" PRIu64 " parked of %" PRIu64
                      " sagas; there are %u, %u of %u",
                      stats->core.open, stats->core.parked, stats->sagas_known, open, parked,
                      known);
    }
}

void sim_check_changed(const struct saga_id *id, const char *status) {
    const struct check_saga *saga = check_find(id);
    bool ended = strcmp(status, "running") != 0 && strcmp(status, "compensating") != 0 &&
                 strcmp(status, "parked") != 0;
    if (saga == NULL || (ended && strcmp(status, status_of(saga)) != 0)) {
        sim_violation("X1", "a saga's change to %s is told, and is not durable", status);
    }
    sim_trace("status     %s", status);
}
