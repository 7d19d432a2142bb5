#include "client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agenda.h"
#include "check.h"
#include "daemon.h"
#include "draw.h"
#include "ids.h"
#include "marks.h"
#include "memory.h"
#include "service.h"
#include "shape.h"
#include "swarm.h"
#include "trace.h"

#define WANTS_MAX      64
#define ASKINGS_MAX    512
#define TRIES_MAX      40
#define OPERATOR_MS    20000
#define OPERATOR_TRIES 6
#define HAND_TRIES     20 /* by hand, where trying again does not help */
#define SAGAS_MAX      512
#define PAGE_MAX       5

/* A saga that a client wants. */
struct want {
    const struct sim_shape *shape;
    char key[16];       /* "": none, and so it is asked for once */
    char askers[2][20]; /* who wants to know of the end; the second after a while */
    char canonical[2][160];
    char sent[2][200];
    unsigned tries;
    unsigned waiting; /* requests without answer, of the main input */
    bool done;
    bool planned; /* the next try is on the agenda */
};

/* A request that the daemon has. */
struct asking {
    bool used;
    struct saga_request request;
    struct saga_listing listing;
    char content[48];                   /* RESOLVE */
    struct saga_listing page[PAGE_MAX]; /* LIST */
    unsigned known;                     /* LIST: sagas that are there for sure */
    struct saga_engine_stats stats;     /* STATS */
    struct want *want;                  /* START */
    uint32_t invocation;                /* START */
    bool other;                         /* START: with the key's other input */
};

static struct want wants[WANTS_MAX];
static unsigned want_count;
static struct asking askings[ASKINGS_MAX];
static unsigned pending_deeds; /* of clients on the agenda */
static bool healed;
static unsigned tries[SAGAS_MAX]; /* of the operator, by saga */

static void start(void *context, uint64_t number);

static struct asking *take_asking(void) {
    for (unsigned i = 0; i < ASKINGS_MAX; i++) {
        if (!askings[i].used) {
            memset(&askings[i], 0, sizeof askings[i]);
            askings[i].used = true;
            askings[i].request.context = &askings[i];
            askings[i].request.listings = &askings[i].listing;
            askings[i].request.limit = 1;
            return &askings[i];
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------- starts */

static void draw_inputs(struct want *want, unsigned number) {
    static const unsigned totals[] = {1, 5000, SIM_BILLING_LIMIT, SIM_BILLING_LIMIT + 1};
    for (unsigned i = 0; i < 2; i++) {
        if (want->shape->booking) {
            const char *slot = sim_draw_chance(50) ? "nowhere" : sim_slots[sim_draw_below(3)];
            unsigned total = totals[sim_draw_below(4)] + i * 10; /* never the same twice */
            (void)snprintf(want->canonical[i], sizeof want->canonical[i],
                           "{\"parking_slot_uuid\":\"%s\",\"total\":%u}", slot, total);
            (void)snprintf(want->sent[i], sizeof want->sent[i],
                           "{ \"total\": %u,\n \"parking_slot_uuid\": \"%s\" }", total, slot);
        } else {
            (void)snprintf(want->canonical[i], sizeof want->canonical[i],
                           "{\"n\":%u,\"who\":\"client %u\"}", number * 2 + i, number);
            (void)snprintf(want->sent[i], sizeof want->sent[i],
                           "{\"who\": \"client %u\", \"n\": %u}", number, number * 2 + i);
        }
    }
}

static void plan_start(struct want *want, int64_t delay_ms) {
    if (!want->planned) {
        want->planned = true;
        pending_deeds++;
        sim_agenda_add(sim_now() + delay_ms, start, want, 0);
    }
}

/* The client has no answer, or one that says: not now. */
static void try_later(struct want *want) {
    if (want->key[0] == '\0' || want->tries >= TRIES_MAX) {
        want->done = true; /* without a key it would be another saga */
    } else {
        plan_start(want, sim_draw_between(10, 5000));
    }
}

/* Who has an answer asks once more, long afterwards: perhaps the saga is gone by then, perhaps its
 * key is forgotten. */
static void come_back(struct want *want) {
    const int64_t left_ms = sim_swarm.chaos_ms - sim_now();
    if (sim_swarm.comes_back && left_ms > 1000 && want->key[0] != '\0' && want->tries < TRIES_MAX &&
        sim_draw_chance(300)) {
        plan_start(want, sim_draw_between(1000, left_ms));
    }
}

static void note_start(uint8_t result) {
    switch ((enum saga_result)result) {
    case SAGA_RESULT_CREATED:
        sim_mark(SIM_MARK_START_CREATED);
        return;
    case SAGA_RESULT_OK:
        sim_mark(SIM_MARK_START_AGAIN);
        return;
    case SAGA_RESULT_CONFLICT:
        sim_mark(SIM_MARK_START_CONFLICT);
        return;
    case SAGA_RESULT_FULL:
        sim_mark(SIM_MARK_START_FULL);
        if (sim_daemon_has_room() && sim_swarm.rates[SIM_FAULT_LOG_FULL] == 0 && !healed) {
            sim_violation("S5", "a start is refused for want of room, and there is room");
        }
        return;
    case SAGA_RESULT_DRAINING:
        sim_mark(SIM_MARK_START_DRAINING);
        if (!sim_daemon_has_drained()) {
            sim_violation("S5", "a start is refused by a daemon that does not drain");
        }
        return;
    case SAGA_RESULT_ACCEPTED:
    case SAGA_RESULT_INVALID:
    case SAGA_RESULT_NO_SAGA:
    case SAGA_RESULT_NO_DEFINITION:
    case SAGA_RESULT_TOO_LARGE:
        break;
    }
    sim_violation("S1", "a start was answered with result %u", result);
}

static void start_answered(struct saga_request *request) {
    struct asking *asking = request->context;
    struct want *want = asking->want;
    int depth = sim_memory_suspend();
    bool lost = sim_fault(SIM_FAULT_LOST_ANSWER);
    asking->used = false;
    note_start(request->result);
    if (sim_trace_wanted()) {
        char id[SAGA_ID_TEXT_SIZE];
        bool found = request->listing_count > 0;
        sim_trace("client     key '%s'%s -> %u %s%s", want->key, asking->other ? " (other)" : "",
                  request->result, found ? saga_id_text(&asking->listing.id, id) : request->text,
                  lost ? " (lost)" : "");
    }
    if (!lost) {
        sim_check_answered(asking->invocation, request->result,
                           request->listing_count > 0 ? &asking->listing : NULL);
    }
    if (!asking->other) {
        want->waiting--;
        bool later = request->result == SAGA_RESULT_FULL || request->result == SAGA_RESULT_DRAINING;
        if (!lost && !later) {
            want->done = true;
            come_back(want);
        } else if (!want->done && want->waiting == 0) {
            try_later(want);
        }
    }
    sim_memory_resume(depth);
}

static void ask(struct want *want, bool other) {
    struct asking *asking = take_asking();
    if (asking == NULL) {
        return;
    }
    const char *sent = sim_draw_chance(500) ? want->sent[other] : want->canonical[other];
    const bool later = want->tries % 3 == 2;
    struct saga_request *request = &asking->request;
    request->type = SAGA_REQUEST_START;
    request->answered = start_answered;
    request->saga = want->shape->name;
    request->key = (struct saga_bytes){.data = want->key, .size = (uint32_t)strlen(want->key)};
    request->body = (struct saga_bytes){.data = sent, .size = (uint32_t)strlen(sent)};
    if (want->key[0] != '\0' && (later || (want - wants) % 2 == 0)) {
        request->content = (struct saga_bytes){.data = want->askers[later],
                                               .size = (uint32_t)strlen(want->askers[later])};
    }
    asking->want = want;
    asking->other = other;
    asking->invocation = sim_check_asked(want->shape->name, want->key, want->canonical[other]);
    if (!sim_daemon_ask(request)) {
        asking->used = false; /* nobody listens */
    } else if (!other) {
        want->waiting++;
    }
}

static void start(void *context, uint64_t number) {
    struct want *want = context;
    unsigned copies = 1;
    (void)number;
    pending_deeds--;
    want->planned = false;
    want->tries++;
    if (want->key[0] != '\0' && sim_fault(SIM_FAULT_STORM)) {
        copies = (unsigned)sim_draw_between(2, 8);
    }
    for (unsigned i = 0; i < copies; i++) {
        if (want->key[0] != '\0' && sim_fault(SIM_FAULT_OTHER_INPUT)) {
            ask(want, true);
        }
        ask(want, false);
    }
    if (want->waiting == 0 && !want->done) {
        try_later(want);
    }
}

/* ---------------------------------------------------------------- operators */

/* True if nobody can know this saga, or not any more: the answer must be that it is not there. */
static bool is_stranger(const struct saga_request *request) {
    const bool not_found = request->result == SAGA_RESULT_NO_SAGA;
    if (sim_check_knows(&request->id) || (sim_check_knew(&request->id) && !not_found)) {
        return false;
    }
    sim_mark(SIM_MARK_NOT_FOUND);
    if (!not_found) {
        sim_violation("X1", "a saga that is not there is answered with %u", request->result);
    }
    return true;
}

static void note_deed(const struct saga_request *request) {
    bool taken = request->result == SAGA_RESULT_ACCEPTED;
    bool pending = taken && request->answer == SAGA_ANSWER_PENDING;
    bool already = request->result == SAGA_RESULT_OK;
    switch ((enum saga_request_type)request->type) {
    case SAGA_REQUEST_CANCEL:
        sim_mark(pending   ? SIM_MARK_CANCEL_PENDING
                 : taken   ? SIM_MARK_CANCEL_TAKEN
                 : already ? SIM_MARK_CANCEL_ALREADY
                           : SIM_MARK_CANCEL_REFUSED);
        return;
    case SAGA_REQUEST_RESOLVE:
        sim_mark(pending ? SIM_MARK_RESOLVE_PENDING
                 : taken ? SIM_MARK_RESOLVE_TAKEN
                         : SIM_MARK_RESOLVE_REFUSED);
        return;
    case SAGA_REQUEST_MARK_COMPENSATED:
    case SAGA_REQUEST_WRITE_OFF:
        sim_mark(taken     ? SIM_MARK_SETTLE_TAKEN
                 : already ? SIM_MARK_SETTLE_ALREADY
                           : SIM_MARK_SETTLE_REFUSED);
        return;
    default:
        sim_mark(taken ? SIM_MARK_RETRY_TAKEN : SIM_MARK_RETRY_REFUSED);
        return;
    }
}

static void operated(struct saga_request *request) {
    struct asking *asking = request->context;
    asking->used = false;
    if (is_stranger(request)) {
        return;
    }
    int depth = sim_memory_suspend();
    if (sim_trace_wanted()) {
        char id[SAGA_ID_TEXT_SIZE];
        sim_trace("operator   request %u %s %s%s -> %u %s", request->type,
                  saga_id_text(&request->id, id),
                  request->step.size == 0 ? "" : (const char *)request->step.data,
                  request->verdict == 0 ? "" : saga_verdict_name(request->verdict), request->result,
                  request->text);
    }
    note_deed(request);
    sim_check_operated(request);
    sim_memory_resume(depth);
}

static void seen(struct saga_request *request) {
    struct asking *asking = request->context;
    asking->used = false;
    if (is_stranger(request)) {
        return;
    }
    if (request->result == SAGA_RESULT_OK) {
        sim_check_seen(&asking->listing);
    } else {
        sim_violation("X1", "a saga that is in the log was not found: %s", request->text);
    }
}

/* The step, its verdict and its result, as an operator sees them. */
static void speak_of_step(struct asking *asking, unsigned number) {
    struct saga_request *request = &asking->request;
    const struct sim_shape *shape = sim_check_shape_of(&request->id);
    bool resolve = request->type == SAGA_REQUEST_RESOLVE;
    uint8_t step = resolve ? sim_check_parked_step(number) : sim_check_owed_step(number);
    if (step >= shape->step_count && resolve && shape->pivot != 0xff && sim_draw_chance(500)) {
        step = shape->pivot;
    }
    if (step >= shape->step_count || sim_draw_chance(healed ? 0 : 50)) {
        step = (uint8_t)sim_draw_below(shape->step_count);
    }
    const char *name = shape->steps[step].name;
    request->step = (struct saga_bytes){name, (uint32_t)strlen(name)};
    if (!resolve) {
        return;
    }
    request->verdict = sim_draw_chance(500) ? SAGA_DONE : SAGA_REJECTED;
    if (shape->steps[step].place == SIM_BEHIND && !sim_draw_chance(100)) {
        request->verdict = SAGA_DONE;
    }
    if (request->verdict == SAGA_DONE && sim_draw_chance(600)) {
        int size = snprintf(asking->content, sizeof asking->content, "{\"%s\": \"%016llx\"}", name,
                            (unsigned long long)sim_draw());
        request->content = (struct saga_bytes){asking->content, (uint32_t)size};
    }
}

static bool is_about_step(enum saga_request_type type) {
    return type == SAGA_REQUEST_RESOLVE || type == SAGA_REQUEST_MARK_COMPENSATED ||
           type == SAGA_REQUEST_WRITE_OFF;
}

/* An operator whose answer is slow, or lost, asks again. */
static void ask_twice(const struct asking *asked) {
    struct asking *again = take_asking();
    if (again == NULL) {
        return;
    }
    again->request.type = asked->request.type;
    again->request.answered = asked->request.answered;
    again->request.id = asked->request.id;
    again->request.key = asked->request.key;
    again->request.body = asked->request.body;
    again->request.step = asked->request.step;
    again->request.verdict = asked->request.verdict;
    if (!sim_daemon_ask(&again->request)) {
        again->used = false;
    }
}

static void operate(enum saga_request_type type, const struct saga_id *id) {
    static const char who[] = "operator";
    static const char why[] = "since I say so";
    struct asking *asking = take_asking();
    if (asking == NULL) {
        return;
    }
    asking->request.type = (uint8_t)type;
    asking->request.answered = type == SAGA_REQUEST_FIND ? seen : operated;
    asking->request.id = *id;
    asking->request.key = (struct saga_bytes){.data = who, .size = sizeof who - 1};
    asking->request.body = (struct saga_bytes){.data = why, .size = sizeof why - 1};
    if (is_about_step(type)) {
        if (sim_check_knows(id)) {
            speak_of_step(asking, sim_check_number(id));
        } else {
            asking->request.step = (struct saga_bytes){"s0", 2};
            asking->request.verdict = SAGA_DONE;
        }
    }
    if (!sim_daemon_ask(&asking->request)) {
        asking->used = false;
    } else if (is_about_step(type) && sim_draw_chance(200)) {
        ask_twice(asking);
    }
}

static void listed(struct saga_request *request) {
    struct asking *asking = request->context;
    asking->used = false;
    sim_check_listed(request, asking->known);
}

static void counted(struct saga_request *request) {
    struct asking *asking = request->context;
    asking->used = false;
    sim_check_counted(request->stats);
}

/* Somebody wants the list, or the counters. */
static void look_around(void) {
    struct asking *asking = take_asking();
    if (asking == NULL) {
        return;
    }
    if (sim_draw_chance(500)) {
        asking->request.type = SAGA_REQUEST_STATS;
        asking->request.answered = counted;
        asking->request.stats = &asking->stats;
    } else {
        asking->known = sim_check_saga_count();
        asking->request.type = SAGA_REQUEST_LIST;
        asking->request.answered = listed;
        asking->request.listings = asking->page;
        asking->request.limit = (size_t)sim_draw_between(1, PAGE_MAX);
        asking->request.id = sim_check_saga_before((unsigned)sim_draw_below(asking->known + 2));
        if (sim_draw_chance(300)) {
            asking->request.saga = sim_shape((uint8_t)sim_draw_below(sim_shape_count()))->name;
        }
    }
    if (!sim_daemon_ask(&asking->request)) {
        asking->used = false;
    }
}

static void operate_somewhere(void *context, uint64_t type) {
    (void)context;
    pending_deeds--;
    unsigned count = sim_check_saga_count();
    if (count == 0 || sim_draw_chance(30)) {
        struct saga_id stranger;
        sim_draw_bytes(NULL, &stranger, sizeof stranger);
        operate((enum saga_request_type)type, &stranger);
        return;
    }
    unsigned number = (unsigned)sim_draw_below(count);
    bool owed = type == SAGA_REQUEST_MARK_COMPENSATED || type == SAGA_REQUEST_WRITE_OFF;
    for (unsigned i = 0; i < count && !sim_draw_chance(100); i++) {
        bool fits =
            owed ? sim_check_owed_step(number) != SAGA_STEP_NONE : sim_check_is_open(number);
        if (fits) {
            break;
        }
        number = (number + 1) % count;
    }
    operate((enum saga_request_type)type, sim_check_saga_id(number));
    look_around();
}

static void plan_operation(enum saga_request_type type, int64_t about_ms) {
    static const int64_t widths_ms[] = {50, 1000, 20000, 300000};
    pending_deeds++;
    sim_agenda_add(about_ms + sim_draw_between(0, widths_ms[sim_draw_below(4)]), operate_somewhere,
                   NULL, type);
}

static void cancel(void *context, uint64_t number) {
    (void)context;
    pending_deeds--;
    operate(SAGA_REQUEST_CANCEL, sim_check_saga_id((unsigned)number));
}

void sim_client_provoke(const struct saga_id *id) {
    if (sim_fault(SIM_FAULT_CANCEL)) {
        pending_deeds++;
        sim_agenda_add(sim_now() + sim_draw_between(0, 1000), cancel, NULL, sim_check_number(id));
    }
}

/* What ends this saga's waiting, where trying again has not. */
static enum saga_request_type by_hand(unsigned number) {
    switch (sim_check_parked(number)) {
    case SAGA_REASON_DEBT:
        return sim_draw_chance(500) ? SAGA_REQUEST_MARK_COMPENSATED : SAGA_REQUEST_WRITE_OFF;
    case SAGA_REASON_IN_DOUBT:
    case SAGA_REASON_REJECTION_IN_DOUBT:
        return SAGA_REQUEST_RESOLVE;
    default:
        return SAGA_REQUEST_RETRY;
    }
}

/* Tries what is parked again, where that can help; then settles it by hand. */
static void patrol(void *context, uint64_t number) {
    (void)context;
    (void)number;
    for (unsigned i = 0; i < sim_check_saga_count() && i < SAGAS_MAX; i++) {
        if (sim_check_parked(i) != 0 && tries[i] < OPERATOR_TRIES + HAND_TRIES &&
            sim_daemon_is_up()) {
            bool retries = tries[i] < OPERATOR_TRIES && sim_draw_chance(700);
            operate(retries ? SAGA_REQUEST_RETRY : by_hand(i), sim_check_saga_id(i));
            tries[i]++;
        }
        if (sim_draw_chance(100)) {
            operate(SAGA_REQUEST_FIND, sim_check_saga_id(i));
        }
    }
    look_around();
    if (healed) {
        sim_agenda_add(sim_now() + OPERATOR_MS, patrol, NULL, 0);
    }
}

bool sim_operator_is_done(void) {
    for (unsigned i = 0; i < sim_check_saga_count() && i < SAGAS_MAX; i++) {
        if (sim_check_parked(i) != 0 && tries[i] < OPERATOR_TRIES + HAND_TRIES) {
            return false;
        }
    }
    return true;
}

/* -------------------------------------------------------------- all of them */

void sim_clients_begin(void) {
    memset(wants, 0, sizeof wants);
    memset(tries, 0, sizeof tries);
    for (unsigned i = 0; i < ASKINGS_MAX; i++) {
        askings[i].used = false;
    }
    pending_deeds = 0;
    healed = false;
    want_count = sim_swarm.saga_count;
    assert(want_count <= WANTS_MAX);
    for (unsigned i = 0; i < want_count; i++) {
        struct want *want = &wants[i];
        int64_t at_ms = sim_draw_chance(500) ? 0 : sim_draw_between(0, sim_swarm.chaos_ms / 2);
        want->shape = sim_shape((uint8_t)sim_draw_below(sim_shape_count()));
        if (!sim_draw_chance(150)) {
            (void)snprintf(want->key, sizeof want->key, "key %u", i);
            (void)snprintf(want->askers[0], sizeof want->askers[0], "a:key %u", i);
            (void)snprintf(want->askers[1], sizeof want->askers[1], "b:key %u", i);
        }
        draw_inputs(want, i);
        plan_start(want, at_ms);
        while (sim_fault(SIM_FAULT_CANCEL)) {
            plan_operation(SAGA_REQUEST_CANCEL, at_ms);
        }
        if (sim_swarm.blackout_until_ms > 0 && sim_draw_chance(500)) {
            plan_operation(SAGA_REQUEST_CANCEL, sim_swarm.blackout_until_ms);
        }
        while (sim_fault(SIM_FAULT_OPERATOR_RETRY)) {
            plan_operation(SAGA_REQUEST_RETRY, at_ms);
        }
        while (sim_fault(SIM_FAULT_RESOLVE)) {
            plan_operation(SAGA_REQUEST_RESOLVE, at_ms);
        }
        while (sim_fault(SIM_FAULT_SETTLE)) {
            plan_operation(sim_draw_chance(500) ? SAGA_REQUEST_MARK_COMPENSATED
                                                : SAGA_REQUEST_WRITE_OFF,
                           at_ms);
        }
        while (sim_draw_chance(300)) {
            plan_operation(SAGA_REQUEST_FIND, at_ms);
        }
    }
}

void sim_client_daemon_died(void) {
    for (unsigned i = 0; i < ASKINGS_MAX; i++) {
        struct asking *asking = &askings[i];
        if (!asking->used) {
            continue;
        }
        asking->used = false;
        if (asking->want != NULL && !asking->other && --asking->want->waiting == 0 &&
            !asking->want->done) {
            try_later(asking->want);
        }
    }
}

void sim_clients_heal(void) {
    healed = true;
    patrol(NULL, 0);
}

bool sim_clients_are_done(void) {
    for (unsigned i = 0; i < want_count; i++) {
        if (!wants[i].done) {
            return false;
        }
    }
    for (unsigned i = 0; i < ASKINGS_MAX; i++) {
        if (askings[i].used) {
            return false;
        }
    }
    return pending_deeds == 0;
}
