#include "shape.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "draw.h"
#include "swarm.h"

const struct sim_party_row sim_parties[SIM_PARTY_COUNT] = {
    [SIM_BOOKING] = {"booking", true, false, true}, [SIM_PARKING] = {"parking", true, false, true},
    [SIM_BILLING] = {"billing", true, false, true}, [SIM_FENCED_A] = {"fa", true, false, true},
    [SIM_FENCED_B] = {"fb", true, false, true},     [SIM_LOOSE] = {"ua", false, false, true},
    [SIM_SINGLE] = {"us", false, true, true},       [SIM_LIAR] = {"li", true, false, false},
};

static struct sim_shape shapes[SIM_SHAPES_MAX];
static uint8_t shape_count;
static char example[4096];

uint8_t sim_shape_count(void) {
    return shape_count;
}

struct sim_shape *sim_shape(uint8_t number) {
    assert(number < shape_count);
    return &shapes[number];
}

bool sim_shape_read_example(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    size_t size = fread(example, 1, sizeof example - 1, file);
    example[size] = '\0';
    (void)fclose(file);
    return size > 0 && size < sizeof example - 1;
}

/* ------------------------------------------------------------- the example */

/* Its budgets: of an action, of a compensation. */
#define FORWARD                                                                                    \
    { 10000, 300000, 200, 60000, 2, 5 }
#define BACK                                                                                       \
    { 10000, 0, 200, 60000, 2, 0 }

/* What examples/booking/booking.yaml says, by hand. */
static void make_booking(struct sim_shape *shape) {
    static const struct sim_step steps[] = {
        {"create", "booking.create", "booking.reject", "BOOKING_CREATED", NULL, "BOOKING_REJECTED",
         NULL, SIM_BOOKING, SIM_BEFORE, SIM_UNDO_OWN, 0, SIM_DOUBT_FENCE, FORWARD, BACK},
        {"block", "parking.block", "parking.unblock", "PARKING_AVAILABLE", "PARKING_UNAVAILABLE",
         "PARKING_UNBLOCKED", NULL, SIM_PARKING, SIM_BEFORE, SIM_UNDO_OWN, 0, SIM_DOUBT_FENCE,
         FORWARD, BACK},
        {"approve", "booking.approve", NULL, "BOOKING_APPROVED", NULL, NULL, NULL, SIM_BOOKING,
         SIM_BEFORE, SIM_UNDO_BY, 0, SIM_DOUBT_FENCE, FORWARD, BACK},
        {"authorize", "billing.authorize_payment", "billing.refund", "PAYMENT_SUCCESSFUL",
         "BILL_FAILED", "BILL_REFUNDED", NULL, SIM_BILLING, SIM_BEFORE, SIM_UNDO_OWN, 0,
         SIM_DOUBT_FENCE, FORWARD, BACK},
        {"reserve", "parking.reserve", NULL, "PARKING_RESERVED", "PARKING_RESERVATION_FAILED", NULL,
         NULL, SIM_PARKING, SIM_AT_PIVOT, SIM_UNDO_NONE, 0, SIM_DOUBT_FENCE, FORWARD, BACK},
        {"confirm", "booking.pay", NULL, "BOOKING_PAID", NULL, NULL, NULL, SIM_BOOKING, SIM_BEHIND,
         SIM_UNDO_NONE, 0, SIM_DOUBT_PARK, FORWARD, BACK},
    };
    (void)strcpy(shape->name, "booking");
    shape->booking = true;
    shape->step_count = sizeof steps / sizeof steps[0];
    shape->pivot = 4;
    memcpy(shape->steps, steps, sizeof steps);
    (void)strcpy(shape->yaml, example);
}

/* ------------------------------------------------------------------- drawing */

/* What a definition says in its defaults. */
struct defaults {
    struct sim_patience action;
    enum sim_doubt doubt;
};

/* Whether a step says it itself, or inherits it. */
struct said {
    bool timeout, deadline, retry, doubt;
    bool undo_timeout, undo_deadline, undo_retry;
};

static int64_t one_of(const int64_t *list, size_t count) {
    return list[sim_draw_below(count)];
}
#define ONE_OF(...)                                                                                \
    one_of((const int64_t[]){__VA_ARGS__}, sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t))

static struct sim_patience draw_patience(void) {
    if (sim_swarm.doubtful) {
        return (struct sim_patience){
            .timeout_ms = ONE_OF(200, 1000),
            .deadline_ms = ONE_OF(0, 1000, 5000),
            .initial_ms = 100,
            .max_ms = 1000,
            .factor = 1,
            .attempts = (uint32_t)ONE_OF(1, 1, 2),
        };
    }
    if (sim_swarm.blackout_until_ms > 0) { /* hours of trying: not too often */
        return (struct sim_patience){
            .timeout_ms = 10000,
            .deadline_ms = ONE_OF(0, 0, 300000),
            .initial_ms = 1000,
            .max_ms = 60000,
            .factor = 10,
            .attempts = (uint32_t)ONE_OF(3, 8),
        };
    }
    return (struct sim_patience){
        .timeout_ms = ONE_OF(200, 1000, 3000, 10000),
        .deadline_ms = ONE_OF(0, 1000, 5000, 20000, 120000, 300000),
        .initial_ms = ONE_OF(100, 200, 1000),
        .max_ms = ONE_OF(1000, 5000, 60000),
        .factor = (uint32_t)ONE_OF(1, 2, 3, 10),
        .attempts = (uint32_t)ONE_OF(1, 1, 2, 3, 5, 8),
    };
}

static const char *const does[2 + 3][SIM_STEPS_MAX] = {
    {"fa.do0", "fa.do1", "fa.do2", "fa.do3", "fa.do4", "fa.do5", "fa.do6", "fa.do7"},
    {"fb.do0", "fb.do1", "fb.do2", "fb.do3", "fb.do4", "fb.do5", "fb.do6", "fb.do7"},
    {"ua.do0", "ua.do1", "ua.do2", "ua.do3", "ua.do4", "ua.do5", "ua.do6", "ua.do7"},
    {"us.do0", "us.do1", "us.do2", "us.do3", "us.do4", "us.do5", "us.do6", "us.do7"},
    {"li.do0", "li.do1", "li.do2", "li.do3", "li.do4", "li.do5", "li.do6", "li.do7"},
};
static const char *const undoes[2 + 3][SIM_STEPS_MAX] = {
    {"fa.undo0", "fa.undo1", "fa.undo2", "fa.undo3", "fa.undo4", "fa.undo5", "fa.undo6",
     "fa.undo7"},
    {"fb.undo0", "fb.undo1", "fb.undo2", "fb.undo3", "fb.undo4", "fb.undo5", "fb.undo6",
     "fb.undo7"},
    {"ua.undo0", "ua.undo1", "ua.undo2", "ua.undo3", "ua.undo4", "ua.undo5", "ua.undo6",
     "ua.undo7"},
    {"us.undo0", "us.undo1", "us.undo2", "us.undo3", "us.undo4", "us.undo5", "us.undo6",
     "us.undo7"},
    {"li.undo0", "li.undo1", "li.undo2", "li.undo3", "li.undo4", "li.undo5", "li.undo6",
     "li.undo7"},
};

/* An earlier step that has a compensation, and 0xff if there is none. */
static uint8_t undoer_before(const struct sim_shape *shape, uint8_t index) {
    for (uint8_t i = index; i-- > 0;) {
        if (shape->steps[i].undo == SIM_UNDO_OWN && sim_draw_chance(600)) {
            return i;
        }
    }
    return 0xff;
}

static void draw_undo(struct sim_shape *shape, uint8_t index) {
    struct sim_step *step = &shape->steps[index];
    unsigned family = step->party - SIM_FENCED_A;
    step->undo = SIM_UNDO_NONE;
    if (step->place != SIM_BEFORE || sim_draw_chance(80)) {
        return;
    }
    uint8_t by = sim_parties[step->party].fenced ? undoer_before(shape, index) : 0xff;
    if (by != 0xff && sim_draw_chance(sim_swarm.doubtful ? 700 : 400)) {
        step->undo = SIM_UNDO_BY;
        step->undone_by = by;
        return;
    }
    step->undo = SIM_UNDO_OWN;
    step->undoes = undoes[family][index];
    step->undone = "UNDID";
    step->not_undone = "STUCK";
}

/* What an inherited answer to doubt means at this step. */
static enum sim_doubt doubt_here(enum sim_doubt said, const struct sim_step *step) {
    if (said == SIM_DOUBT_FENCE && !sim_parties[step->party].fenced) {
        said = SIM_DOUBT_COMPENSATE;
    }
    if (said == SIM_DOUBT_COMPENSATE && step->place != SIM_BEFORE) {
        said = SIM_DOUBT_PARK;
    }
    return said;
}

static enum sim_doubt draw_one_doubt(void) {
    if (sim_swarm.doubtful) {
        return sim_draw_chance(700)   ? SIM_DOUBT_FENCE
               : sim_draw_chance(650) ? SIM_DOUBT_PARK
                                      : SIM_DOUBT_COMPENSATE;
    }
    return (enum sim_doubt)sim_draw_between(SIM_DOUBT_FENCE, SIM_DOUBT_PARK);
}

/* In doubtful seeds what has no compensation of its own is often left to an operator, whose
 * verdict another step's compensation has to follow. */
static enum sim_doubt draw_doubt_of(const struct sim_step *step) {
    return sim_swarm.doubtful && step->undo == SIM_UNDO_BY && sim_draw_chance(400)
               ? SIM_DOUBT_PARK
               : draw_one_doubt();
}

static void draw_doubt(struct sim_step *step, const struct defaults *defaults, struct said *said) {
    said->doubt = step->place != SIM_BEHIND && sim_draw_chance(400);
    step->doubt = doubt_here(said->doubt ? draw_doubt_of(step) : defaults->doubt, step);
}

static void draw_budgets(struct sim_step *step, const struct defaults *defaults,
                         struct said *said) {
    struct sim_patience own = draw_patience();
    said->timeout = sim_draw_chance(300);
    said->deadline = step->place != SIM_BEHIND && sim_draw_chance(300);
    said->retry = sim_draw_chance(300);
    step->action = defaults->action;
    if (said->timeout) {
        step->action.timeout_ms = own.timeout_ms;
    }
    if (said->deadline) {
        step->action.deadline_ms = own.deadline_ms;
    }
    if (said->retry) {
        int64_t timeout_ms = step->action.timeout_ms, deadline_ms = step->action.deadline_ms;
        step->action = own;
        step->action.timeout_ms = timeout_ms;
        step->action.deadline_ms = deadline_ms;
    }
    /* Its timeout is the step's, its backoff that of the defaults, and it is without end,
     * unless it says otherwise. */
    own = draw_patience();
    step->compensation = defaults->action;
    step->compensation.timeout_ms = step->action.timeout_ms;
    step->compensation.deadline_ms = 0;
    step->compensation.attempts = 0;
    if (step->undo != SIM_UNDO_OWN) {
        return;
    }
    said->undo_timeout = sim_draw_chance(200);
    said->undo_deadline = sim_draw_chance(250);
    said->undo_retry = sim_draw_chance(sim_swarm.doubtful ? 800 : 350);
    if (said->undo_timeout) {
        step->compensation.timeout_ms = own.timeout_ms;
    }
    if (said->undo_deadline) {
        step->compensation.deadline_ms = own.deadline_ms;
    }
    if (said->undo_retry) {
        step->compensation.initial_ms = own.initial_ms;
        step->compensation.max_ms = own.max_ms;
        step->compensation.factor = own.factor;
        step->compensation.attempts = sim_draw_chance(700) ? own.attempts : 0;
    }
}

/* --------------------------------------------------------------------- YAML */

static char *at;
static char *end;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(at, (size_t)(end - at), format, arguments);
    va_end(arguments);
    assert(size >= 0 && size < end - at);
    at += size;
}

static void put_duration(const char *indent, const char *key, int64_t ms) {
    if (ms == 0) {
        put("%s%s: none\n", indent, key);
    } else if (ms % 60000 == 0) {
        put("%s%s: %lldm\n", indent, key, (long long)(ms / 60000));
    } else if (ms % 1000 == 0) {
        put("%s%s: %llds\n", indent, key, (long long)(ms / 1000));
    } else {
        put("%s%s: %lldms\n", indent, key, (long long)ms);
    }
}

static void put_retry(const char *indent, const struct sim_patience *patience) {
    put("%sretry: {initial: %lldms, max: %lldms, factor: %u, attempts: ", indent,
        (long long)patience->initial_ms, (long long)patience->max_ms, patience->factor);
    if (patience->attempts == 0) {
        put("unlimited}\n");
    } else {
        put("%u}\n", patience->attempts);
    }
}

static const char *doubt_name(enum sim_doubt doubt) {
    static const char *const names[] = {"?", "fence", "compensate", "park"};
    return names[doubt];
}

static void put_undo(const struct sim_shape *shape, const struct sim_step *step,
                     const struct said *said) {
    if (step->place != SIM_BEFORE) {
        return;
    }
    switch (step->undo) {
    case SIM_UNDO_NONE:
        put("    no_effect: true\n");
        return;
    case SIM_UNDO_BY:
        put("    compensated_by: %s\n", shape->steps[step->undone_by].name);
        return;
    case SIM_UNDO_OWN:
        break;
    }
    put("    compensation:\n      command: %s\n      done: [%s]\n      rejected: [%s]\n",
        step->undoes, step->undone, step->not_undone);
    if (said->undo_timeout) {
        put_duration("      ", "timeout", step->compensation.timeout_ms);
    }
    if (said->undo_deadline) {
        put_duration("      ", "deadline", step->compensation.deadline_ms);
    }
    if (said->undo_retry) {
        put_retry("      ", &step->compensation);
    }
}

static void put_step(const struct sim_shape *shape, const struct sim_step *step,
                     const struct said *said) {
    put("  - name: %s\n    command: %s\n    done: [%s]\n", step->name, step->does, step->done);
    if (step->rejected != NULL) {
        put("    rejected: [%s]\n", step->rejected);
    }
    if (step->place == SIM_AT_PIVOT) {
        put("    pivot: true\n");
    }
    put_undo(shape, step, said);
    if (said->timeout) {
        put_duration("    ", "timeout", step->action.timeout_ms);
    }
    if (said->deadline) {
        put_duration("    ", "deadline", step->action.deadline_ms);
    }
    if (said->retry) {
        put_retry("    ", &step->action);
    }
    if (said->doubt) {
        put("    on_unknown: %s\n", doubt_name(step->doubt));
    }
}

static void put_head(const struct sim_shape *shape, const struct defaults *defaults) {
    bool named[SIM_PARTY_COUNT] = {false};
    put("saga: %s\n", shape->name);
    put_duration("", "deadline", shape->deadline_ms);
    put("participants:\n");
    for (uint8_t i = 0; i < shape->step_count; i++) {
        const struct sim_party_row *party = &sim_parties[shape->steps[i].party];
        if (!named[shape->steps[i].party]) {
            named[shape->steps[i].party] = true;
            put("  %s: {fenced: %s, single_delivery: %s}\n", party->name,
                party->fenced ? "true" : "false", party->single ? "true" : "false");
        }
    }
    put("defaults:\n");
    put_duration("  ", "timeout", defaults->action.timeout_ms);
    put_duration("  ", "deadline", defaults->action.deadline_ms);
    put_retry("  ", &defaults->action);
    put("  on_unknown: %s\nsteps:\n", doubt_name(defaults->doubt));
}

/* -------------------------------------------------------------------- shapes */

static enum sim_party draw_party(unsigned kind) {
    switch (kind) {
    case 0: /* fenced: the whole promise */
        return sim_draw_chance(500) ? SIM_FENCED_A : SIM_FENCED_B;
    case 1: /* without a fence */
        return sim_draw_chance(500) ? SIM_LOOSE : SIM_SINGLE;
    case 2: /* mixed */
        return (enum sim_party)sim_draw_between(SIM_FENCED_A, SIM_SINGLE);
    default: /* with one that lies */
        return sim_draw_chance(500) ? SIM_LIAR : SIM_FENCED_A;
    }
}

static void make_generated(struct sim_shape *shape, const char *name) {
    struct said said[SIM_STEPS_MAX] = {{false}};
    struct defaults defaults = {.action = draw_patience(), .doubt = draw_one_doubt()};
    static const unsigned kinds[] = {0, 0, 0, 1, 1, 2, 2, 3};
    unsigned kind = sim_swarm.doubtful ? 0 : kinds[sim_draw_below(sizeof kinds / sizeof kinds[0])];
    (void)strcpy(shape->name, name);
    shape->step_count = (uint8_t)sim_draw_between(1, 6);
    shape->pivot = sim_draw_chance(650) ? (uint8_t)sim_draw_below(shape->step_count) : 0xff;
    shape->deadline_ms =
        sim_draw_chance(sim_swarm.doubtful ? 600 : 200) ? ONE_OF(2000, 10000, 60000) : 0;
    for (uint8_t i = 0; i < shape->step_count; i++) {
        struct sim_step *step = &shape->steps[i];
        (void)snprintf(step->name, sizeof step->name, "s%u", i);
        step->party = draw_party(kind);
        step->place = shape->pivot == 0xff || i < shape->pivot ? SIM_BEFORE
                      : i == shape->pivot                      ? SIM_AT_PIVOT
                                                               : SIM_BEHIND;
        step->does = does[step->party - SIM_FENCED_A][i];
        step->done = "DID";
        step->rejected = step->place == SIM_BEHIND ? NULL : "REFUSED";
        draw_undo(shape, i);
        draw_doubt(step, &defaults, &said[i]);
        draw_budgets(step, &defaults, &said[i]);
    }
    at = shape->yaml;
    end = shape->yaml + sizeof shape->yaml;
    put_head(shape, &defaults);
    for (uint8_t i = 0; i < shape->step_count; i++) {
        put_step(shape, &shape->steps[i], &said[i]);
    }
}

void sim_shapes_begin(void) {
    static const char *const names[] = {"red", "green", "blue"};
    memset(shapes, 0, sizeof shapes);
    shape_count = 0;
    unsigned kind = sim_swarm.doubtful ? 9 : (unsigned)sim_draw_below(10);
    if (kind < 5) {
        make_booking(&shapes[shape_count++]);
    }
    for (unsigned i = 0; i < 3 && (kind >= 3 || shape_count == 0); i++) {
        if (i == 0 || sim_draw_chance(300)) {
            /* Sometimes another version of the one before it. */
            const char *name = i > 0 && sim_draw_chance(300) ? names[i - 1] : names[i];
            make_generated(&shapes[shape_count++], name);
        }
    }
}
