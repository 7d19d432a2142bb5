#include "check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agenda.h"
#include "check_state.h"
#include "daemon.h"
#include "disk.h"
#include "ids.h"
#include "marks.h"
#include "shadow.h"

#define INVOCATIONS_MAX 8192
#define DEFINITIONS_MAX 32

/* A client's question whether a saga may start. */
struct invocation {
    const char *name;
    const char *key;
    const char *input;
};

struct definition {
    uint64_t lsn;
    const struct sim_shape *shape;
};

static struct check_saga sagas[CHECK_SAGAS_MAX];
struct check_saga *const check_sagas = sagas;
unsigned check_saga_count;
uint64_t check_commit;
uint64_t check_last_lsn;
uint64_t check_resent_lsn;
uint64_t check_answer_lsns[SIM_PARTY_COUNT];

static struct invocation invocations[INVOCATIONS_MAX];
static uint32_t invocation_count;
static struct definition definitions[DEFINITIONS_MAX];
static unsigned definition_count;
static uint32_t epoch;
static int64_t last_at_ms;
static uint32_t life_of_epoch; /* the daemon's life that wrote the latest epoch */
static uint32_t draining_life;
static unsigned restless;

/* ------------------------------------------------------------------ questions */

struct check_saga *check_find(const struct saga_id *id) {
    for (unsigned i = check_saga_count; i-- > 0;) { /* the latest are asked for most */
        if (memcmp(&sagas[i].id, id, sizeof *id) == 0) {
            return &sagas[i];
        }
    }
    return NULL;
}

const char *check_text(const struct check_saga *saga, uint8_t step) {
    static char texts[2][96];
    static unsigned next;
    char id[SAGA_ID_TEXT_SIZE];
    char *text = texts[next++ % 2];
    const char *name = saga_id_text(&saga->id, id) + 28;
    if (step < saga->shape->step_count) {
        (void)snprintf(text, sizeof texts[0], "saga %s (%s) step %s", name, saga->shape->name,
                       saga->shape->steps[step].name);
    } else {
        (void)snprintf(text, sizeof texts[0], "saga %s (%s)", name, saga->shape->name);
    }
    return text;
}

const struct sim_shape *sim_check_shape_of(const struct saga_id *id) {
    const struct check_saga *saga = check_find(id);
    if (saga == NULL) {
        sim_violation("E1", "a command leaves for a saga that is not durable");
    }
    return saga->shape;
}

bool sim_check_knows(const struct saga_id *id) {
    const struct check_saga *saga = check_find(id);
    return saga != NULL && !saga->gone;
}

bool sim_check_knew(const struct saga_id *id) {
    const struct check_saga *saga = check_find(id);
    return saga != NULL && check_was_there(saga);
}

bool sim_check_has_ended(const struct saga_id *id) {
    const struct check_saga *saga = check_find(id);
    return saga != NULL && saga->outcome != 0;
}

unsigned sim_check_saga_count(void) {
    return check_saga_count;
}

const struct saga_id *sim_check_saga_id(unsigned number) {
    return &sagas[number].id;
}

unsigned sim_check_number(const struct saga_id *id) {
    const struct check_saga *saga = check_find(id);
    assert(saga != NULL);
    return (unsigned)(saga - sagas);
}

uint8_t sim_check_parked(unsigned number) {
    return sagas[number].parked;
}

uint8_t sim_check_parked_step(unsigned number) {
    return sagas[number].parked_step;
}

uint8_t sim_check_owed_step(unsigned number) {
    for (uint8_t i = 0; i < sagas[number].shape->step_count; i++) {
        const struct check_step *step = &sagas[number].steps[i];
        if (step->state == SIM_OWED && !step->marked && !step->written_off) {
            return i;
        }
    }
    return SAGA_STEP_NONE;
}

bool sim_check_is_open(unsigned number) {
    return sagas[number].outcome == 0;
}

unsigned sim_check_restless(void) {
    return restless;
}

bool sim_check_is_hopeless(void) {
    for (unsigned i = 0; i < check_saga_count; i++) {
        if (sagas[i].outcome == 0 && sagas[i].parked == 0 && !sagas[i].purged) {
            return false;
        }
    }
    return true;
}

bool sim_check_is_fenced(unsigned number) {
    const struct sim_shape *shape = sagas[number].shape;
    for (uint8_t i = 0; i < shape->step_count; i++) {
        const struct sim_party_row *party = &sim_parties[shape->steps[i].party];
        if (!party->fenced || !party->honest) {
            return false;
        }
    }
    return true;
}

void sim_check_begin(void) {
    check_saga_count = 0;
    check_commit = 1;
    memset(check_answer_lsns, 0, sizeof check_answer_lsns);
    invocation_count = 0;
    definition_count = 0;
    check_last_lsn = 0;
    check_resent_lsn = 0;
    epoch = 0;
    last_at_ms = 0;
    life_of_epoch = 0;
    draining_life = 0;
    restless = 0;
    check_told_begin();
    check_history_begin();
}

/* -------------------------------------------------------------------- starts */

uint32_t sim_check_asked(const char *name, const char *key, const char *input) {
    assert(invocation_count < INVOCATIONS_MAX);
    invocations[invocation_count] = (struct invocation){name, key, input};
    return invocation_count++;
}

static const struct check_saga *by_key(const char *key) {
    for (unsigned i = check_saga_count; i > 0 && key[0] != '\0'; i--) { /* its latest use */
        if (strcmp(sagas[i - 1].key, key) == 0) {
            return &sagas[i - 1];
        }
    }
    return NULL;
}

void sim_check_answered(uint32_t number, uint8_t result, const struct saga_listing *listing) {
    const struct invocation *asked = &invocations[number];
    bool keyed = asked->key[0] != '\0';
    if (result == SAGA_RESULT_CONFLICT) {
        const struct check_saga *saga = by_key(asked->key);
        if (saga == NULL || strcmp(saga->input, asked->input) == 0) {
            sim_violation("S2", "key '%s' is refused, and was not used with another input",
                          asked->key);
        }
        return;
    }
    if (result != SAGA_RESULT_CREATED && result != SAGA_RESULT_OK) {
        return;
    }
    const struct check_saga *saga = check_find(&listing->id);
    if (saga == NULL) {
        sim_violation("S1", "a start with key '%s' is answered, and no saga is durable",
                      asked->key);
    }
    if (keyed && strcmp(saga->key, asked->key) != 0) {
        sim_violation("S2", "key '%s' is answered with %s, which key '%s' has started", asked->key,
                      check_text(saga, SAGA_STEP_NONE), saga->key);
    }
    if (strcmp(saga->input, asked->input) != 0) {
        sim_violation("S2", "key '%s' is answered with %s, which has another input", asked->key,
                      check_text(saga, SAGA_STEP_NONE));
    }
    const bool purged = strcmp(listing->status, "purged") == 0;
    if (purged) {
        sim_mark(SIM_MARK_START_PURGED);
    }
    if (purged ? !saga->gone : !check_was_there(saga)) {
        sim_violation("X5", "%s is called %s, and is%s gone", check_text(saga, SAGA_STEP_NONE),
                      listing->status, purged ? " not" : "");
    }
    if (result == SAGA_RESULT_OK && !keyed) {
        sim_violation("S1", "a start without a key is answered with an old saga");
    }
}

static void check_invocation(const struct check_saga *saga, const struct saga_record *record) {
    for (uint32_t i = 0; i < invocation_count; i++) {
        const struct invocation *asked = &invocations[i];
        if (strcmp(asked->key, saga->key) == 0 && strcmp(asked->input, saga->input) == 0 &&
            strcmp(asked->name, saga->shape->name) == 0) {
            return;
        }
    }
    sim_violation("S3",
                  "record %" PRIu64 " starts a saga (key '%s', input %s) that nobody asked for",
                  record->lsn, saga->key, saga->input);
}

static const struct sim_shape *shape_at(const struct saga_record *record) {
    for (unsigned i = 0; i < definition_count; i++) {
        if (definitions[i].lsn == record->definition_lsn) {
            return definitions[i].shape;
        }
    }
    sim_violation("L4", "record %" PRIu64 " starts a saga by a definition that is not in the log",
                  record->lsn);
}

struct check_saga *check_begin_saga(const struct saga_record *record) {
    assert(check_saga_count < CHECK_SAGAS_MAX);
    struct check_saga *saga = &sagas[check_saga_count];
    memset(saga, 0, sizeof *saga);
    saga->id = record->saga;
    saga->shape = shape_at(record);
    saga->started_lsn = record->lsn;
    saga->deadline_ms =
        saga->shape->deadline_ms == 0 ? INT64_MAX : record->at_ms + saga->shape->deadline_ms;
    saga->parked_step = SAGA_STEP_NONE;
    (void)snprintf(saga->key, sizeof saga->key, "%.*s", (int)record->key.size,
                   (const char *)record->key.data);
    (void)snprintf(saga->input, sizeof saga->input, "%.*s", (int)record->payload.size,
                   (const char *)record->payload.data);
    for (uint8_t i = 0; i < saga->shape->step_count; i++) {
        saga->steps[i].state = SIM_IDLE;
        saga->steps[i].deadline_ms = INT64_MAX;
        saga->steps[i].sent_ms = -1;
        saga->steps[i].ended_ms = -1;
    }
    if (record->previous_lsn != 0) {
        sim_violation("L3", "record %" PRIu64 " starts a saga and names one before it",
                      record->lsn);
    }
    const struct check_saga *earlier = by_key(saga->key);
    if (earlier != NULL) {
        sim_mark(SIM_MARK_KEY_REUSED);
    }
    if (earlier != NULL && !check_key_is_forgotten(earlier, record->at_ms)) {
        sim_violation("S2", "record %" PRIu64 " starts a second saga for key '%s'", record->lsn,
                      saga->key);
    }
    check_invocation(saga, record);
    check_told_start(saga, record);
    check_saga_count++;
    return saga;
}

/* ------------------------------------------------------------------- records */

static void load_definition(const struct saga_record *record) {
    assert(definition_count < DEFINITIONS_MAX);
    for (uint8_t i = 0; i < sim_shape_count(); i++) {
        const struct sim_shape *shape = sim_shape(i);
        if (strlen(shape->hash) == record->key.size &&
            memcmp(shape->hash, record->key.data, record->key.size) == 0) {
            definitions[definition_count++] =
                (struct definition){.lsn = record->lsn, .shape = shape};
            if (i > 0 && strcmp(sim_shape((uint8_t)(i - 1))->name, shape->name) == 0) {
                sim_mark(SIM_MARK_NEW_VERSION);
            }
            return;
        }
    }
    sim_violation("S3", "record %" PRIu64 " is a definition that nobody has", record->lsn);
}

static void check_log(const struct saga_record *record) {
    if (record->lsn != check_last_lsn + 1) {
        sim_violation("L2", "record %" PRIu64 " follows record %" PRIu64, record->lsn,
                      check_last_lsn);
    }
    check_last_lsn = record->lsn;
    if (record->at_ms < last_at_ms) {
        sim_violation("L2", "record %" PRIu64 ": its time is before that of the one before it",
                      record->lsn);
    }
    last_at_ms = record->at_ms;
    bool starts = record->fact == SAGA_EPOCH_STARTED;
    if (record->epoch != epoch + starts) {
        sim_violation("L6", "record %" PRIu64 " (%s) has epoch %u in epoch %u", record->lsn,
                      saga_fact_name(record->fact), record->epoch, epoch);
    }
    if (!starts && sim_daemon_life() != life_of_epoch) {
        sim_violation("T6", "record %" PRIu64 " (%s) is written in recovery", record->lsn,
                      saga_fact_name(record->fact));
    }
}

static void trace_record(const struct saga_record *record) {
    const struct check_saga *saga = check_find(&record->saga);
    char command[64] = "";
    char why[64] = "";
    if (!sim_trace_wanted()) {
        return;
    }
    if (record->operation != 0) {
        (void)snprintf(command, sizeof command, " %s %u#%u", saga_operation_name(record->operation),
                       record->revision, record->attempt);
    }
    if (record->reason != 0) {
        (void)snprintf(why, sizeof why, " since %s", saga_reason_name(record->reason));
    }
    sim_trace("log        %6" PRIu64 " %s %s%s %s%s", record->lsn, saga_fact_name(record->fact),
              saga == NULL ? "" : check_text(saga, record->step), command,
              record->verdict != 0 ? saga_verdict_name(record->verdict) : "", why);
}

void sim_check_record(const struct saga_record *record) {
    check_log(record);
    sim_shadow_follow(record);
    if (record->fact == SAGA_DEFINITION_LOADED) {
        load_definition(record);
    } else if (record->fact == SAGA_OUTCOMES_TOLD) {
        check_told_mark(record);
    } else if (record->fact == SAGA_HISTORY_PURGED) {
        check_history_mark(record);
    } else if (record->fact == SAGA_EPOCH_STARTED) {
        epoch = record->epoch;
        life_of_epoch = sim_daemon_life();
        for (unsigned i = 0; i < check_saga_count; i++) {
            if (sagas[i].outcome == 0) {
                check_epoch(&sagas[i], record);
            }
        }
    } else {
        struct check_saga *saga = check_find(&record->saga);
        if (record->fact == SAGA_STARTED) {
            if (saga != NULL) {
                sim_violation("S2", "record %" PRIu64 " starts a saga again", record->lsn);
            }
            saga = check_begin_saga(record);
        } else if (saga == NULL) {
            sim_violation("L4", "record %" PRIu64 " is of a saga that was never started",
                          record->lsn);
        } else {
            if (record->previous_lsn != saga->last_lsn) {
                sim_violation("L3",
                              "record %" PRIu64 " names %" PRIu64
                              " as the one before it, which is %" PRIu64,
                              record->lsn, record->previous_lsn, saga->last_lsn);
            }
            check_story(saga, record);
            if (record->fact == SAGA_ENDED) {
                saga->ended_lsn = record->lsn;
                saga->ended_ms = sim_now();
            }
        }
        saga->last_lsn = record->lsn;
        saga->touched = true;
    }
    trace_record(record);
}

void sim_check_committed(void) {
    restless = 0;
    for (unsigned i = 0; i < check_saga_count; i++) {
        if (sagas[i].touched) {
            sagas[i].touched = false;
            check_rest(&sagas[i]);
        }
        restless += sagas[i].outcome == 0 && sagas[i].parked == 0;
    }
    check_commit++;
    sim_shadow_compare(sim_daemon_coordinator());
}

void sim_check_now(int64_t now_ms) {
    for (unsigned i = 0; i < check_saga_count; i++) {
        if (sagas[i].outcome == 0) {
            check_overdue(&sagas[i], now_ms);
        }
    }
}

void sim_check_recovered(const struct saga_coordinator *coordinator,
                         const struct saga_recovery_report *report) {
    uint32_t cursor = 0;
    const struct saga_plan *plan;
    const struct saga *open;
    unsigned count = 0;
    unsigned expected = 0;
    unsigned known = 0;
    unsigned going = 0; /* with the epoch's commit */
    if (report->quarantined > 0) {
        sim_violation(strstr(report->first_quarantined, "not whole") != NULL ? "D3" : "T4",
                      "recovery puts %" PRIu64 " sagas out of service: %s", report->quarantined,
                      report->first_quarantined);
    }
    while ((open = saga_coordinator_next(coordinator, &cursor, &plan)) != NULL) {
        const struct check_saga *saga = check_find(&open->id);
        count++;
        if (saga == NULL || saga->outcome != 0) {
            sim_violation("T4", "recovery brings back a saga that is not open");
        }
    }
    for (unsigned i = 0; i < check_saga_count; i++) {
        expected += sagas[i].outcome == 0;
        known += !sagas[i].gone;
        going += sagas[i].gone && check_was_there(&sagas[i]);
    }
    if (count != expected || report->sagas < known || report->sagas > known + going) {
        sim_violation("T4", "recovery finds %u open sagas of %" PRIu64 ", there are %u of %u",
                      count, report->sagas, expected, known);
    }
    if (count > 0) {
        sim_mark(SIM_MARK_RECOVERY);
    }
    sim_shadow_settled(coordinator);
}

/* --------------------------------------------------------------------- sends */

/* T3: no attempt leaves before its backoff is over, unless its participant has answered
 * others since, or an operator wanted it. */
static void check_backoff(const struct check_saga *saga, uint8_t index, int64_t now_ms) {
    const struct check_step *step = &saga->steps[index];
    const struct sim_step *plan = &saga->shape->steps[index];
    bool released = !step->by_word && (check_answer_lsns[plan->party] > step->ended_lsn ||
                                       check_resent_lsn >= step->ended_lsn);
    const struct sim_patience *patience = check_patience(saga, index);
    if (step->ended_ms < 0 || step->sent_ms >= 0) {
        return; /* the first attempt, or sent again */
    }
    if (now_ms < step->ended_ms + SIM_BACKOFF_MIN_MS && !released) {
        sim_violation("T3", "%s: attempt %u leaves %lld ms after the one before it",
                      check_text(saga, index), step->attempt, (long long)(now_ms - step->ended_ms));
    }
    if (now_ms > step->ended_ms + patience->max_ms + SIM_SLACK_MS && step->ended_lsn > 0 &&
        !sim_daemon_was_late(step->ended_ms)) {
        sim_violation("T3", "%s: attempt %u leaves only %lld ms after the one before it",
                      check_text(saga, index), step->attempt, (long long)(now_ms - step->ended_ms));
    }
}

void sim_check_send(const struct saga_dispatch *dispatch) {
    struct check_saga *saga = check_find(&dispatch->id.saga);
    const struct saga_command_id *id = &dispatch->id;
    if (saga == NULL || id->step >= saga->shape->step_count || id->operation < 1 ||
        id->operation > SAGA_OPERATION_COUNT ||
        saga->steps[id->step].revisions[id->operation] < id->revision || id->incarnation != 1) {
        sim_violation("E1", "a command leaves that is not durable");
    }
    struct check_step *step = &saga->steps[id->step];
    const struct sim_step *plan = &saga->shape->steps[id->step];
    if (draining_life == sim_daemon_life()) {
        sim_violation("T7", "%s: a command leaves a daemon that drains",
                      check_text(saga, id->step));
    }
    if (saga->outcome != 0 && saga->ended_commit + 1 < check_commit) {
        sim_violation("L5", "%s: a command leaves, and its saga has ended",
                      check_text(saga, id->step));
    }
    char other[24];
    (void)snprintf(other, sizeof other, "%s.%s", sim_parties[plan->party].name,
                   id->operation == SAGA_FENCE ? "fence" : "settle");
    const char *name = id->operation == SAGA_ACTION         ? plan->does
                       : id->operation == SAGA_COMPENSATION ? plan->undoes
                                                            : other;
    if (id->operation == SAGA_SETTLE && !sim_parties[plan->party].fenced) {
        sim_violation("E5", "%s: a settle is sent to one who keeps no row",
                      check_text(saga, id->step));
    }
    if (name == NULL || strcmp(name, dispatch->name) != 0 ||
        strcmp(dispatch->participant, sim_parties[plan->party].name) != 0) {
        sim_violation("E5", "%s: %s is sent to %s", check_text(saga, id->step), dispatch->name,
                      dispatch->participant);
    }
    if (id->operation == step->unseen_op && dispatch->attempt == step->unseen_attempt) {
        step->unseen_attempt = 0; /* it was about to leave */
    }
    if (id->operation != step->op || id->revision != step->revisions[id->operation]) {
        return; /* superseded in this very batch */
    }
    struct saga_record record;
    sim_disk_read(step->command_lsns[id->operation], &record);
    if (record.payload.size != dispatch->body_size ||
        memcmp(record.payload.data, dispatch->body, dispatch->body_size) != 0) {
        sim_violation("E5", "%s: what leaves is not what its record holds",
                      check_text(saga, id->step));
    }
    if (dispatch->attempt == step->attempt && step->open) {
        if (step->deadline_ms != INT64_MAX &&
            dispatch->issued_at_ms > step->deadline_ms + SIM_SLACK_MS &&
            !sim_daemon_was_late(step->deadline_ms)) {
            sim_violation("T3", "%s: its deadline is over, and it is sent again",
                          check_text(saga, id->step));
        }
        check_backoff(saga, id->step, dispatch->issued_at_ms);
        step->again = step->again || step->sent_ms >= 0 || step->survived;
        step->turned_away = step->turned_away && !step->again;
        step->sent_ms = dispatch->issued_at_ms;
    }
}

static bool is_open_attempt(const struct check_step *step, const struct saga_command_id *id,
                            uint32_t attempt) {
    return id->operation == step->op && id->revision == step->revisions[id->operation] &&
           attempt == step->attempt;
}

void sim_check_refused(const struct saga_command_id *id, uint32_t attempt) {
    struct check_saga *saga = check_find(&id->saga);
    assert(saga != NULL); /* sim_check_send() came before */
    struct check_step *step = &saga->steps[id->step];
    if (is_open_attempt(step, id, attempt)) {
        step->turned_away = true;
    }
}

void sim_check_resent(void) {
    check_resent_lsn = check_last_lsn;
}

void sim_check_wired(const struct saga_command_id *id, uint32_t attempt) {
    struct check_saga *saga = check_find(&id->saga);
    assert(saga != NULL); /* sim_check_send() came before */
    struct check_step *step = &saga->steps[id->step];
    if (is_open_attempt(step, id, attempt)) {
        step->wired = true;
    }
}

void sim_check_draining(void) {
    draining_life = sim_daemon_life();
}
