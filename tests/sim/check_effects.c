/* The end: what the participants' tables say about each saga. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "check_state.h"
#include "disk.h"
#include "ids.h"
#include "marks.h"
#include "participant.h"
#include "service.h"
#include "swarm.h"

/* What was found of one step of one saga. */
struct found {
    unsigned acted, refused, undone, stuck; /* rows of the ledger */
    sqlite3_int64 acted_at, undone_at;      /* their places in it */
    char state[16];                         /* of the fence's row; "": none */
    char event[32];                         /* the action's */
    char content[600];                      /* "": none, or too long to look at */
};

static struct found table[CHECK_SAGAS_MAX][SIM_STEPS_MAX];

static sqlite3_stmt *prepare(sqlite3 *database, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    assert(status == SQLITE_OK);
    return statement;
}

static const char *text(sqlite3_stmt *statement, int column) {
    const char *found = (const char *)sqlite3_column_text(statement, column);
    return found == NULL ? "" : found;
}

static struct check_saga *saga_of(const char *id_text) {
    struct saga_id id;
    if (!saga_id_parse(id_text, strnlen(id_text, 36), &id)) {
        return NULL;
    }
    return check_find(&id);
}

static int step_of(const struct check_saga *saga, const char *name, size_t size) {
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        if (strlen(saga->shape->steps[i].name) == size &&
            memcmp(saga->shape->steps[i].name, name, size) == 0) {
            return i;
        }
    }
    return -1;
}

/* A business no, where there may be one. */
static bool is_refusal(const struct sim_step *plan, const char *what) {
    return plan->place != SIM_BEHIND && plan->rejected != NULL && strcmp(what, plan->rejected) == 0;
}

/* One row of a ledger: <saga>/<step>/<incarnation>/<operation>/<revision>, what. */
static void count_effect(const char *id, const char *what, sqlite3_int64 place) {
    char operation[16];
    unsigned incarnation, revision;
    struct check_saga *saga = saga_of(id);
    const char *name = strchr(id, '/');
    size_t size = name == NULL ? 0 : strcspn(++name, "/");
    int step = saga == NULL || name == NULL ? -1 : step_of(saga, name, size);
    if (step < 0 ||
        sscanf(name + size, "/%u/%15[a-z]/%u", &incarnation, operation, &revision) != 3) {
        sim_violation("E4", "an effect of a command, %s, that no saga has", id);
    }
    const struct sim_step *plan = &saga->shape->steps[step];
    struct found *found = &table[saga - check_sagas][step];
    bool action = strcmp(operation, "action") == 0;
    uint8_t op = action ? SAGA_ACTION : SAGA_COMPENSATION;
    if (incarnation != 1 || revision == 0 || revision > saga->steps[step].revisions[op]) {
        sim_violation("E4", "an effect of a command, %s, that is not in the log", id);
    }
    if (strcmp(what, "HALF_DONE") == 0) {
        sim_violation("E2", "%s: half of it was kept", check_text(saga, (uint8_t)step));
    }
    if (action && strcmp(what, plan->done) == 0) {
        found->acted++;
        found->acted_at = place;
    } else if (action && is_refusal(plan, what)) {
        found->refused++;
    } else if (plan->undone != NULL && strcmp(what, plan->undone) == 0) {
        found->undone++;
        found->undone_at = place;
    } else if (!action && plan->not_undone != NULL && strcmp(what, plan->not_undone) == 0) {
        found->stuck++;
    } else {
        sim_violation("E4", "%s came to %s, which cannot be", check_text(saga, (uint8_t)step),
                      what);
    }
    if (found->acted > 1 || found->undone > 1) {
        sim_violation("E2", "%s took effect twice: %s", check_text(saga, (uint8_t)step), what);
    }
}

static void read_ledger(sqlite3 *database) {
    sqlite3_stmt *statement =
        prepare(database, "SELECT command_id, what, rowid FROM effects ORDER BY rowid");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        count_effect(text(statement, 0), text(statement, 1), sqlite3_column_int64(statement, 2));
    }
    sqlite3_finalize(statement);
}

static void read_fence(sqlite3 *database) {
    sqlite3_stmt *statement =
        prepare(database, "SELECT saga, step, incarnation, state, event, content FROM saga_fence");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct check_saga *saga = saga_of(text(statement, 0));
        int step =
            saga == NULL ? -1 : step_of(saga, text(statement, 1), strlen(text(statement, 1)));
        if (step < 0 || sqlite3_column_int(statement, 2) != 1) {
            sim_violation("E4", "a row of the fence of a step that no saga has");
        }
        struct found *found = &table[saga - check_sagas][step];
        (void)snprintf(found->state, sizeof found->state, "%s", text(statement, 3));
        (void)snprintf(found->event, sizeof found->event, "%s", text(statement, 4));
        if (sqlite3_column_bytes(statement, 5) < (int)sizeof found->content) {
            (void)snprintf(found->content, sizeof found->content, "%s", text(statement, 5));
        }
    }
    sqlite3_finalize(statement);
}

static bool is_stated(const struct found *found, const char *state) {
    return strcmp(found->state, state) == 0;
}

/* What holds of every step of a fenced participant, however its saga ended. */
static void check_fenced_step(const struct check_saga *saga, uint8_t index,
                              const struct found *found) {
    const struct check_step *step = &saga->steps[index];
    const char *where = check_text(saga, index);
    if (found->undone > 0 && found->acted == 0) {
        sim_violation("C2", "%s was compensated, and never took effect", where);
    }
    if (found->undone > 0 && found->undone_at < found->acted_at) {
        sim_violation("C4", "%s took effect after its compensation", where);
    }
    if (saga->purged) {
        return; /* rows are gone: nothing can be said of the rest */
    }
    /* A settle is answered even where the rows are forgotten, and then it writes a tombstone. */
    bool forgotten = sim_swarm.forgets && step->cleared;
    if (is_stated(found, "tombstone") && found->acted > 0 && !forgotten) {
        sim_violation("C4", "%s took effect, and has a tombstone", where);
    }
    if (is_stated(found, "rejected") && found->acted > 0) {
        sim_violation("C4", "%s took effect, and was rejected", where);
    }
    if (((is_stated(found, "done") || is_stated(found, "settled")) &&
         (found->acted != 1 || found->undone != 0)) ||
        (is_stated(found, "compensated") && (found->acted != 1 || found->undone != 1))) {
        sim_violation("E2", "%s is '%s' at its participant: it acted %u times, was undone %u",
                      where, found->state, found->acted, found->undone);
    }
    /* What is forgotten in the end has no row any more. */
    bool absent = found->state[0] == '\0' && !sim_swarm.forgets;
    if (step->state == SIM_CLEARED && (absent || is_stated(found, "done"))) {
        sim_violation("O3", "%s was settled by hand, and its row is open: '%s'", where,
                      found->state);
    }
    if (step->state == SIM_IDLE && (found->acted > 0 || found->state[0] != '\0')) {
        sim_violation("E4", "%s was never issued, and something came of it", where);
    }
}

static void check_outcome(const struct check_saga *saga, uint8_t index, const struct found *found) {
    const struct sim_step *plan = &saga->shape->steps[index];
    const struct check_step *step = &saga->steps[index];
    /* Of what an operator has vouched for nothing is promised; of all the rest the same. */
    bool done = saga->outcome != 0 && !saga->backward;
    bool undone = saga->outcome != 0 && saga->backward;
    if (step->marked || step->written_off || (done && step->resolved)) {
        return;
    }
    if (done && (found->acted != 1 || found->undone != 0)) {
        sim_violation("E3", "%s: the saga is completed; it took effect %u times, was undone %u",
                      check_text(saga, index), found->acted, found->undone);
    }
    if (undone && plan->undo == SIM_UNDO_OWN && found->acted != found->undone) {
        sim_violation("C1", "%s: the saga is compensated; it took effect %u times, was undone %u",
                      check_text(saga, index), found->acted, found->undone);
    }
    if (undone && plan->place != SIM_BEFORE && found->acted != 0) {
        sim_violation("C1", "%s: the saga is compensated, and its pivot took effect",
                      check_text(saga, index));
    }
}

/* E6: what the log has as the step's result is what the participant has. */
static void check_result(const struct check_saga *saga, uint8_t index, const struct found *found) {
    const struct check_step *step = &saga->steps[index];
    char expected[1024];
    struct saga_record record;
    char id[SAGA_ID_TEXT_SIZE];
    if (step->done_lsn == 0 || found->event[0] == '\0' ||
        (found->content[0] == '\0' && !saga->shape->booking)) {
        return;
    }
    sim_disk_read(step->done_lsn, &record);
    (void)snprintf(expected, sizeof expected,
                   "{\"id\": \"%s/%s/1/%s/%u\", \"content\": %s, \"reply_state\": \"%s\"}",
                   saga_id_text(&saga->id, id), saga->shape->steps[index].name,
                   record.operation == SAGA_FENCE ? "fence" : "action", record.revision,
                   found->content[0] == '\0' ? "null" : found->content, found->event);
    if (record.payload.size != strlen(expected) ||
        memcmp(record.payload.data, expected, record.payload.size) != 0) {
        sim_violation("E6", "%s: the log's result, %.*s, is not the participant's, %s",
                      check_text(saga, index), (int)record.payload.size,
                      (const char *)record.payload.data, expected);
    }
}

/* Participants without a fence: what can be promised all the same. */
static void check_loose_step(const struct check_saga *saga, uint8_t index) {
    const struct check_step *step = &saga->steps[index];
    enum sim_party party = saga->shape->steps[index].party;
    struct sim_tally tally = sim_service_tally(&saga->id, index);
    if (!sim_parties[party].honest) {
        return;
    }
    if (tally.acted > 0 && step->revisions[SAGA_ACTION] == 0) {
        sim_violation("E4", "%s was never issued, and took effect", check_text(saga, index));
    }
    if (tally.undone > 0 && step->revisions[SAGA_COMPENSATION] == 0) {
        sim_violation("E4", "%s was never to be compensated, and was", check_text(saga, index));
    }
    bool done = saga->outcome != 0 && !saga->backward;
    bool undone = saga->outcome != 0 && saga->backward;
    if (done && !step->resolved && tally.acted == 0) {
        sim_violation("E3", "%s: the saga is completed, and it never took effect",
                      check_text(saga, index));
    }
    /* A rejection that was believed, behind a transport that doubles nothing, was true. */
    if (undone && step->state == SIM_REFUSED && tally.acted > 0) {
        sim_violation("C1", "%s: its rejection was believed, and it took effect",
                      check_text(saga, index));
    }
    if (undone && step->state == SIM_NEVER_RAN && tally.acted > 0) {
        sim_violation("C7", "%s never ran, and took effect", check_text(saga, index));
    }
}

static void check_saga(unsigned number) {
    const struct check_saga *saga = &check_sagas[number];
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        if (saga->shape->steps[i].party >= SIM_FENCED_COUNT) {
            check_loose_step(saga, i);
            continue;
        }
        check_fenced_step(saga, i, &table[number][i]);
        check_outcome(saga, i, &table[number][i]);
        check_result(saga, i, &table[number][i]);
    }
}

/* ---------------------------------------------------------------- the example */

static int64_t one_number(enum sim_party party, const char *sql) {
    sqlite3_stmt *statement =
        prepare(saga_participant_database(sim_service_participant(party)), sql);
    int status = sqlite3_step(statement);
    assert(status == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* The saga that a reference, "<slot>:<saga>", names; NULL: none. */
static const struct check_saga *holder(const char *reference) {
    const char *colon = strchr(reference, ':');
    return colon == NULL ? NULL : saga_of(colon + 1);
}

static bool by_hand_at(const struct check_saga *saga, enum sim_party party) {
    for (uint8_t i = 0; saga != NULL && i < saga->shape->step_count; i++) {
        const struct check_step *step = &saga->steps[i];
        if (saga->shape->steps[i].party == party &&
            (step->resolved || step->marked || step->written_off)) {
            return true;
        }
    }
    return false;
}

/* R2: no slot is held by a saga that has ended without it. */
static void check_slots(void) {
    sqlite3_stmt *statement =
        prepare(saga_participant_database(sim_service_participant(SIM_PARKING)),
                "SELECT status, held_by FROM parking_slots WHERE held_by IS NOT NULL");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const struct check_saga *saga = holder(text(statement, 1));
        if (saga == NULL) {
            sim_violation("R2", "a slot is held by %s, which is no saga", text(statement, 1));
        }
        bool reserved = strcmp(text(statement, 0), "reserved") == 0;
        if (by_hand_at(saga, SIM_PARKING)) {
            continue; /* an operator has answered for it */
        }
        if (saga->outcome != 0 && !(reserved && !saga->backward)) {
            sim_violation("R2", "a slot is %s for %s, which has ended", text(statement, 0),
                          check_text(saga, SAGA_STEP_NONE));
        }
    }
    sqlite3_finalize(statement);
}

/* M3: a bill is paid exactly where the booking is paid. */
static void check_money(void) {
    unsigned completed = 0;
    unsigned doubtful = 0;
    for (unsigned i = 0; i < check_saga_count; i++) {
        if (check_sagas[i].shape->booking) {
            completed += check_sagas[i].outcome == SAGA_COMPLETED;
            doubtful += check_sagas[i].outcome == 0 || check_is_manual(&check_sagas[i]);
        }
    }
    int64_t bills =
        one_number(SIM_BILLING, "SELECT count(*) FROM billing_requests WHERE status = 'paid'");
    int64_t bookings =
        one_number(SIM_BOOKING, "SELECT count(*) FROM bookings WHERE status = 'paid'");
    int64_t slots =
        one_number(SIM_PARKING, "SELECT count(*) FROM parking_slots WHERE status = 'reserved'");
    if (doubtful == 0 && (bills != completed || bookings != completed || slots != completed)) {
        sim_violation("M3",
                      "%u bookings are completed; %" PRId64 " bills and %" PRId64
                      " bookings are paid, %" PRId64 " slots reserved",
                      completed, bills, bookings, slots);
    }
}

void sim_check_effects(void) {
    memset(table, 0, check_saga_count * sizeof table[0]);
    for (int i = 0; i < SIM_FENCED_COUNT; i++) {
        struct saga_participant *participant = sim_service_participant((enum sim_party)i);
        struct saga_participant_counts counts = saga_participant_counts(participant);
        if (counts.commands == 0) {
            continue;
        }
        if (counts.conflicts + counts.malformed + counts.damaged > 0) {
            sim_violation("E5",
                          "%s met %" PRIu64 " conflicts, %" PRIu64 " malformed commands, %" PRIu64
                          " damaged rows",
                          sim_parties[i].name, counts.conflicts, counts.malformed, counts.damaged);
        }
        read_ledger(saga_participant_database(participant));
        read_fence(saga_participant_database(participant));
    }
    for (unsigned i = 0; i < check_saga_count; i++) {
        check_saga(i);
    }
    check_slots();
    check_money();
}

void sim_check_purged(void) {
    for (unsigned i = 0; i < check_saga_count; i++) {
        check_sagas[i].purged = check_sagas[i].purged || check_sagas[i].outcome == 0;
    }
}

void sim_check_ends(void) {
    check_all_told();
    for (unsigned i = 0; i < check_saga_count; i++) {
        const struct check_saga *saga = &check_sagas[i];
        if (saga->outcome != 0 || saga->purged) {
            continue;
        }
        /* Everything else somebody can end, by a retry or by hand. */
        bool may_park = saga->parked == SAGA_REASON_UNRENDERED ||
                        (saga->parked == SAGA_REASON_CONTRACT_BROKEN && !sim_check_is_fenced(i));
        if (saga->parked == 0 || !may_park) {
            sim_violation("T1", "%s has not ended: %s", check_text(saga, saga->parked_step),
                          saga->parked == 0 ? "it goes on for ever"
                                            : saga_reason_name(saga->parked));
        }
    }
}
