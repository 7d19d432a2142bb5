#include "service.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agenda.h"
#include "billing.h"
#include "booking.h"
#include "check.h"
#include "daemon.h"
#include "delivery.h"
#include "draw.h"
#include "generated.h"
#include "ids.h"
#include "loose.h"
#include "marks.h"
#include "parking.h"
#include "swarm.h"
#include "trace.h"

#define WAITING_MAX 512
#define BATCH_MAX   8

/* A command that waits at its participant. */
struct waiting {
    struct sim_command command;
    char name[32];
    char *body;
    bool misrouted; /* it is another participant's */
};

struct station {
    struct saga_participant *participant; /* NULL: a loose one */
    struct waiting queue[WAITING_MAX];
    unsigned first, count;
    bool planned; /* its next work is on the agenda */
    int64_t up_at_ms;
    bool bound_while_down; /* its queue outlives it */
    bool used;             /* its database is no longer as new */
};

const char *const sim_slots[SIM_SLOTS] = {
    "00000000-0000-7000-8000-000000000001",
    "00000000-0000-7000-8000-000000000002",
    "00000000-0000-7000-8000-000000000003",
};

static struct station stations[SIM_PARTY_COUNT];

/* ------------------------------------------------------------ open and close */

/* The participants' clock is right: it is not the daemon's. */
static int64_t now_ms(void *context) {
    (void)context;
    return SIM_WALL_BEGIN_MS + sim_now();
}

static void crash(void *context, const char *command, enum saga_participant_crash moment) {
    (void)context;
    (void)command;
    (void)moment;
}

static const struct saga_service *service_of(enum sim_party party) {
    switch (party) {
    case SIM_BOOKING:
        return saga_booking_service();
    case SIM_PARKING:
        return saga_parking_service();
    case SIM_BILLING:
        return saga_billing_service();
    case SIM_FENCED_A:
    case SIM_FENCED_B:
        return sim_generated_service(party);
    case SIM_LOOSE:
    case SIM_SINGLE:
    case SIM_LIAR:
        break;
    }
    return NULL;
}

bool sim_services_open(void) {
    const struct saga_participant_options options = {
        .retention_ms = SIM_RETENTION_MS, .now_ms = now_ms, .crash = crash};
    for (int i = 0; i < SIM_FENCED_COUNT; i++) {
        struct saga_fault fault;
        if (saga_participant_open(&stations[i].participant, service_of((enum sim_party)i),
                                  ":memory:", &options, &fault) != SAGA_OK) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return false;
        }
    }
    for (int i = 0; i < SIM_SLOTS; i++) {
        char uuid[37];
        struct saga_fault fault;
        (void)snprintf(uuid, sizeof uuid, "%s", sim_slots[i]);
        if (saga_parking_slot_create(stations[SIM_PARKING].participant, "slot", uuid, &fault) !=
            SAGA_OK) {
            (void)fprintf(stderr, "%s\n", fault.text);
            return false;
        }
    }
    return true;
}

void sim_services_close(void) {
    for (int i = 0; i < SIM_FENCED_COUNT; i++) {
        saga_participant_close(stations[i].participant);
        stations[i].participant = NULL;
    }
}

struct saga_participant *sim_service_participant(enum sim_party party) {
    return stations[party].participant;
}

/* ---------------------------------------------------------------- as new */

static void empty(struct saga_participant *participant, enum sim_party party) {
    static const char *const more[SIM_FENCED_COUNT] = {
        [SIM_BOOKING] = "DELETE FROM bookings; DELETE FROM sqlite_sequence;",
        [SIM_PARKING] = "UPDATE parking_slots SET status = 'available', held_by = NULL;",
        [SIM_BILLING] = "DELETE FROM billing_requests; DELETE FROM sqlite_sequence;",
    };
    sqlite3 *database = saga_participant_database(participant);
    int status = sqlite3_exec(database,
                              "BEGIN; DELETE FROM saga_fence; DELETE FROM effects;"
                              "UPDATE saga_participant SET purged_before = 0;",
                              NULL, NULL, NULL);
    if (status == SQLITE_OK && more[party] != NULL) {
        status = sqlite3_exec(database, more[party], NULL, NULL, NULL);
    }
    if (status == SQLITE_OK) {
        status = sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    }
    assert(status == SQLITE_OK);
}

static void set_fail(struct saga_participant_switches *switches, const char *command,
                     unsigned permille) {
    if (permille > 0) {
        struct saga_participant_fail *fail = &switches->fails[switches->fail_count++];
        (void)strcpy(fail->command, command);
        fail->probability = (double)permille / 1000;
    }
}

/* What the example's services are told to do by their switches. */
static void set_switches(enum sim_party party) {
    struct saga_participant *participant = stations[party].participant;
    struct saga_participant_switches *switches = &participant->options.switches;
    unsigned reject = sim_swarm.rates[SIM_FAULT_REJECT];
    unsigned retry = sim_swarm.rates[SIM_FAULT_RETRY];
    switches->fail_count = 0;
    switch (party) {
    case SIM_BOOKING:
        set_fail(switches, "booking.create", retry);
        set_fail(switches, "booking.reject", retry);
        set_fail(switches, "booking.pay", retry);
        break;
    case SIM_PARKING:
        set_fail(switches, "parking.block", reject / 2);
        set_fail(switches, "parking.reserve", reject);
        set_fail(switches, "parking.unblock", retry);
        break;
    case SIM_BILLING:
        set_fail(switches, "billing.authorize_payment", reject / 2);
        set_fail(switches, "billing.refund", retry);
        switches->limited = true;
        switches->limit = SIM_BILLING_LIMIT;
        break;
    case SIM_FENCED_A:
    case SIM_FENCED_B:
    case SIM_LOOSE:
    case SIM_SINGLE:
    case SIM_LIAR:
        break;
    }
}

static void clear_queue(struct station *station) {
    for (; station->count > 0; station->count--) {
        free(station->queue[station->first].body);
        station->first = (station->first + 1) % WAITING_MAX;
    }
}

void sim_services_begin(void) {
    for (int i = 0; i < SIM_PARTY_COUNT; i++) {
        struct station *station = &stations[i];
        clear_queue(station);
        station->planned = false;
        station->up_at_ms = 0;
        station->bound_while_down = true;
        if (station->participant == NULL) {
            continue;
        }
        if (station->used) {
            empty(station->participant, (enum sim_party)i);
            station->used = false;
        }
        memset(&station->participant->counts, 0, sizeof station->participant->counts);
        station->participant->draws = sim_draw();
        set_switches((enum sim_party)i);
    }
    sim_loose_begin();
}

static void work(void *context, uint64_t number);

void sim_services_heal(void) {
    for (int i = 0; i < SIM_PARTY_COUNT; i++) {
        if (stations[i].up_at_ms > sim_now()) {
            stations[i].up_at_ms = sim_now();
        }
        sim_agenda_add(sim_now(), work, &stations[i], 0);
        stations[i].bound_while_down = true;
        if (stations[i].participant != NULL) {
            set_switches((enum sim_party)i);
        }
    }
    sim_loose_heal();
}

/* -------------------------------------------------------------------- work */

bool sim_service_is_bound(enum sim_party party) {
    return stations[party].bound_while_down || stations[party].up_at_ms <= sim_now();
}

unsigned sim_services_waiting(void) {
    unsigned sum = 0;
    for (int i = 0; i < SIM_PARTY_COUNT; i++) {
        sum += stations[i].count;
    }
    return sum;
}

static void plan(struct station *station, int64_t delay_ms) {
    if (!station->planned) {
        int64_t at_ms = sim_now() + delay_ms;
        station->planned = true;
        sim_agenda_add(at_ms > station->up_at_ms ? at_ms : station->up_at_ms, work, station, 0);
    }
}

/* What of the header's words the wire knows, as verdicts. */
static uint8_t verdict_of(enum saga_wire_outcome outcome) {
    switch (outcome) {
    case SAGA_WIRE_DONE:
        return SAGA_DONE;
    case SAGA_WIRE_REJECTED:
        return SAGA_REJECTED;
    case SAGA_WIRE_ACCEPTED:
        return SAGA_ACCEPTED;
    case SAGA_WIRE_RETRY:
        return SAGA_RETRY;
    case SAGA_WIRE_FENCED:
        return SAGA_FENCED;
    case SAGA_WIRE_NOOP:
        return SAGA_NOOP;
    case SAGA_WIRE_NONE:
        break;
    }
    return 0;
}

struct texts {
    char id[SAGA_COMMAND_TEXT_SIZE];
    char saga[SAGA_ID_TEXT_SIZE];
};

static struct saga_wire_command wire_of(const struct sim_command *command, struct texts *texts) {
    return (struct saga_wire_command){
        .name = command->name,
        .id = saga_command_text(&command->id, command->step->name, texts->id),
        .saga = saga_id_text(&command->id.saga, texts->saga),
        .saga_type = command->shape->name,
        .step = command->step->name,
        .operation = saga_operation_name(command->id.operation),
        .incarnation = command->id.incarnation,
        .revision = command->id.revision,
        .attempt = command->attempt,
        .issued_at_ms = command->issued_at_ms,
        .deadline_ms = command->deadline_ms,
        .body = command->body,
        .body_size = command->body_size,
    };
}

/* A reply's id is the way back: what it names must be what was asked. */
static void reply(const struct sim_command *command, const struct saga_wire_reply *reply) {
    struct saga_command_id id;
    const char *step;
    size_t step_size;
    if (!saga_command_parse(reply->id, strlen(reply->id), &id, &step, &step_size) ||
        step_size != strlen(command->step->name) ||
        memcmp(step, command->step->name, step_size) != 0) {
        sim_violation("E6", "a reply's id, %s, is not its command's", reply->id);
    }
    id.step = command->id.step;
    struct sim_command back = *command;
    back.id = id;
    back.attempt = reply->attempt;
    if (sim_trace_wanted()) {
        sim_trace("%-10s %s#%u -> %s%s", sim_parties[command->step->party].name, reply->id,
                  reply->attempt, saga_wire_outcome_name(reply->outcome),
                  reply->replayed ? " (replayed)" : "");
    }
    sim_check_said(&id, verdict_of(reply->outcome), reply->replayed);
    sim_network_reply(&back, verdict_of(reply->outcome), reply->body, reply->body_size);
}

/* A delivery that got no answer: delivered again by the broker, or not at all. */
static void unanswered(const struct sim_command *command, const struct saga_wire_reply *reply) {
    if (reply->refusal != NULL) {
        if (strstr(reply->refusal, "older than the rows") == NULL) {
            sim_violation("E5", "%s refused a command: %s", sim_parties[command->step->party].name,
                          reply->refusal);
        }
        sim_mark(SIM_MARK_EXPIRED);
        sim_trace("%-10s refused %s: %s", sim_parties[command->step->party].name, command->name,
                  reply->refusal);
    } else if (sim_draw_chance(600)) {
        sim_network_again(command, sim_draw_between(100, 5000), command->accepted);
    }
}

static int refuse_commit(void *context) {
    (void)context;
    return 1; /* turns the commit into a rollback */
}

/* Which way the participant dies in this batch; 0: not at all. */
static enum saga_participant_crash draw_crash(struct saga_participant *participant,
                                              const struct sim_command *command) {
    struct saga_participant_switches *switches = &participant->options.switches;
    enum saga_participant_crash moment = 0;
    if (sim_fault(SIM_FAULT_CRASH_BEFORE)) {
        moment = SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT;
    } else if (sim_fault(SIM_FAULT_CRASH_AFTER)) {
        moment = SAGA_PARTICIPANT_CRASH_AFTER_COMMIT;
    }
    switches->crash_count = moment != 0;
    participant->crashed[0] = false;
    switches->crashes[0].moment = moment;
    (void)snprintf(switches->crashes[0].command, sizeof switches->crashes[0].command, "%s",
                   command->name);
    return moment;
}

static void go_down(struct station *station, int64_t down_ms) {
    if (station->up_at_ms < sim_now() + down_ms) {
        station->up_at_ms = sim_now() + down_ms;
    }
    /* What is unroutable is tried again and again, with a record each: not for hours. */
    station->bound_while_down = down_ms > 60000 || sim_draw_chance(500);
}

static void carry_out(struct station *station, struct waiting *batch, unsigned count) {
    struct saga_wire_command commands[BATCH_MAX];
    struct saga_wire_reply replies[BATCH_MAX];
    struct texts texts[BATCH_MAX];
    struct saga_participant *participant = station->participant;
    struct saga_fault fault;
    station->used = true;
    for (unsigned i = 0; i < count; i++) {
        commands[i] = wire_of(&batch[i].command, &texts[i]);
    }
    enum saga_participant_crash crashes = draw_crash(participant, &batch[0].command);
    bool locked = sim_fault(SIM_FAULT_LOCKED);
    if (locked) {
        (void)sqlite3_commit_hook(saga_participant_database(participant), refuse_commit, NULL);
    }
    enum saga_error error = saga_participant_apply(participant, commands, count, replies, &fault);
    if (locked) {
        (void)sqlite3_commit_hook(saga_participant_database(participant), NULL, NULL);
    }
    if (error != SAGA_OK && !locked) {
        sim_violation("A0", "a participant failed: %s", fault.text);
    }
    for (unsigned i = 0; i < count; i++) {
        if (batch[i].misrouted) {
            if (!replies[i].silent) {
                sim_violation("E5", "%s answers %s, a command of %s",
                              saga_participant_name(participant), replies[i].id,
                              sim_parties[batch[i].command.step->party].name);
            }
        } else if (replies[i].silent) {
            unanswered(&batch[i].command, &replies[i]);
        } else {
            reply(&batch[i].command, &replies[i]);
        }
        saga_wire_reply_free(&replies[i]);
    }
    if (crashes != 0) {
        sim_trace("%-10s died %s its commit", saga_participant_name(participant),
                  crashes == SAGA_PARTICIPANT_CRASH_BEFORE_COMMIT ? "before" : "after");
        go_down(station, sim_draw_between(0, 3000));
    }
}

static void work(void *context, uint64_t number) {
    struct station *station = context;
    (void)number;
    station->planned = false;
    if (station->up_at_ms > sim_now()) { /* went down since */
        if (station->count > 0) {
            plan(station, 0);
        }
        return;
    }
    struct waiting batch[BATCH_MAX];
    unsigned count = 0;
    unsigned most = (unsigned)sim_draw_between(1, BATCH_MAX);
    while (station->count > 0 && count < most) {
        struct waiting *waiting = &batch[count++];
        *waiting = station->queue[station->first];
        waiting->command.name = waiting->name;
        waiting->command.body = waiting->body;
        station->first = (station->first + 1) % WAITING_MAX;
        station->count--;
    }
    if (count > 0) {
        if (station->participant != NULL) {
            carry_out(station, batch, count);
        } else {
            for (unsigned i = 0; i < count; i++) {
                sim_loose_carry_out(&batch[i].command);
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        free(batch[i].body);
    }
    if (station->count > 0) {
        plan(station, 1);
    }
}

/* ------------------------------------------------------------------ arriving */

static void enqueue(struct station *station, const struct sim_command *command, bool misrouted) {
    if (station->count == WAITING_MAX) {
        return; /* its queue is full: lost */
    }
    struct waiting *waiting = &station->queue[(station->first + station->count++) % WAITING_MAX];
    waiting->command = *command;
    waiting->misrouted = misrouted;
    (void)snprintf(waiting->name, sizeof waiting->name, "%s", command->name);
    waiting->body = malloc(command->body_size + 1);
    assert(waiting->body != NULL);
    memcpy(waiting->body, command->body, command->body_size);
}

/* Answers `accepted`, and goes to work much later, if ever. */
static void accept(const struct sim_command *command) {
    static const char body[] = "{\"content\": null, \"reply_state\": \"ACCEPTED\"}";
    sim_trace("%-10s accepts %s#%u", sim_parties[command->step->party].name, command->name,
              command->attempt);
    sim_network_reply(command, SAGA_ACCEPTED, body, sizeof body - 1);
    if (!sim_draw_chance(100)) {
        sim_network_again(command, sim_draw_between(0, command->step->action.timeout_ms * 3), true);
    }
}

void sim_service_take(const struct sim_command *command) {
    struct station *station = &stations[command->step->party];
    if (sim_fault(SIM_FAULT_DOWN)) {
        go_down(station, sim_draw_chance(200) ? sim_draw_between(60000, 900000)
                                              : sim_draw_between(100, 30000));
        sim_trace("%-10s is down", sim_parties[command->step->party].name);
    }
    if (station->up_at_ms > sim_now() && !station->bound_while_down) {
        return; /* its queue has gone, and the message with it */
    }
    bool repeats = station->participant != NULL || sim_loose_repeats(command->step->party);
    if (!command->accepted && repeats && sim_fault(SIM_FAULT_ACCEPT)) {
        accept(command);
        return;
    }
    if (sim_fault(SIM_FAULT_MISROUTED)) {
        struct station *other = &stations[sim_draw_below(SIM_FENCED_COUNT)];
        if (other != station) {
            enqueue(other, command, true);
            plan(other, 1);
        }
    }
    enqueue(station, command, false);
    plan(station,
         sim_fault(SIM_FAULT_SLOW) ? sim_draw_between(100, 30000) : sim_draw_between(0, 5));
}

void sim_services_purge(void) {
    for (int i = 0; i < SIM_FENCED_COUNT; i++) {
        struct saga_fault fault;
        uint64_t purged = 0;
        stations[i].used = true;
        if (saga_participant_purge(stations[i].participant, &purged, &fault) != SAGA_OK) {
            sim_violation("A0", "a purge failed: %s", fault.text);
        }
        if (purged > 0) {
            sim_trace("%-10s purged %llu rows", sim_parties[i].name, (unsigned long long)purged);
        }
    }
}
