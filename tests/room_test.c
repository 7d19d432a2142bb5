/* Whoever is accepted can end: random plans, small logs, every way to fail and to go back. */
#include "room.h"

#include "check_run.h"
#include "engine_fixture.h"
#include "scratch.h"
#include "splitmix.h"
#include "turn.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX    12
#define SAGAS_MAX    400
#define COMMANDS_MAX 8192
#define INPUT_MAX    (64u << 10)
/* Attempts that are lost of a command which is asked without end. */
#define LOST_MAX 4
/* Bytes of a reply that is larger than is reckoned with. */
#define LARGE_MAX (100u << 10)

/* ------------------------------------------------------------------- a run */

static struct run {
    struct splitmix random;
    char definition[8192];
    unsigned steps;
    unsigned pivot;   /* steps: none */
    unsigned harm;    /* of 100 commands so many fail in some way */
    unsigned commits; /* so many requests are in one commit, at the most */
    struct saga_id sagas[SAGAS_MAX];
    size_t saga_count;
    bool refused;
    bool honest;  /* nobody contradicts himself: then what is needed is never more than was said */
    bool large;   /* replies are as nobody reckons with */
    bool is_full; /* and the log has failed by it */
    bool worst;   /* all goes as far as it can, loses all that it may, and comes back */
    struct sent commands[COMMANDS_MAX]; /* that have left and were neither answered nor lost */
    size_t command_count;
    size_t seen; /* of world.sent_count */
    bool is_audited;
    uint64_t audited;               /* records up to this LSN were as they had been reckoned */
    struct saga_room_need reckoned; /* by then */
    struct saga_fault fault;
} run;

/* Of all runs. */
static struct {
    unsigned refused, restarts;
    uint64_t sagas, percent;
} seen;

static unsigned below(unsigned bound) {
    return (unsigned)splitmix_below(&run.random, bound);
}

static bool chance(unsigned percent) {
    return below(100) < percent;
}

/* ------------------------------------------------------------------- plans */

__attribute__((format(printf, 1, 2))) static void write_line(const char *format, ...) {
    const size_t used = strlen(run.definition);
    va_list arguments;
    va_start(arguments, format);
    const int length =
        vsnprintf(run.definition + used, sizeof run.definition - used, format, arguments);
    va_end(arguments);
    ck_assert_int_lt(length, (int)(sizeof run.definition - used));
}

static void write_step(unsigned step) {
    const unsigned attempts = run.worst ? LOST_MAX + 1 : 1 + below(LOST_MAX);
    write_line("  - name: s%u\n    command: p%u.do\n", step, step % 3);
    if (step < run.pivot) {
        if (chance(20)) {
            write_line("    no_effect: true\n");
        } else {
            write_line("    compensation: {command: p%u.undo", step % 3);
            if (chance(50)) {
                write_line(", retry: {attempts: %u}", 1 + below(LOST_MAX));
            }
            write_line("}\n");
        }
    }
    if (step == run.pivot) {
        write_line("    pivot: true\n");
    }
    write_line("    retry: {attempts: %u}\n", attempts);
}

static void make_definition(void) {
    run.steps = 2 + below(STEPS_MAX - 1);
    run.pivot = chance(50) ? below(run.steps) : run.steps;
    run.definition[0] = '\0';
    write_line("saga: some\nversion: 1\nparticipants:\n");
    for (unsigned i = 0; i < 3 && i < run.steps; i++) {
        write_line("  p%u: {fenced: %s}\n", i, chance(70) ? "true" : "false");
    }
    write_line("defaults: {timeout: 1s, deadline: none, retry: {initial: 100ms, max: 200ms}}\n"
               "steps:\n");
    for (unsigned i = 0; i < run.steps; i++) {
        write_step(i);
    }
}

/* ---------------------------------------------------------------- the world */

/* Nobody reckons with these (room.h). */
static bool is_reckoned(const struct saga_record *record) {
    const bool endless =
        record->attempt >= SAGA_ROOM_ATTEMPTS && record->fact == SAGA_ATTEMPT_EXPIRED;
    return !endless && !saga_fact_is_of_log(record->fact) && record->fact != SAGA_OPERATOR_ACTED &&
           record->fact != SAGA_LATE_REPLY_RECEIVED;
}

/* What comes of a debt, once there is one, is an operator's to begin: reckoned from then on. And
 * whoever says that it had acted, and that there was nothing to compensate, is asked once more. */
static void allow_more(const struct saga_record *record) {
    const struct saga_plan *plan;
    const struct saga *saga =
        saga_coordinator_find(world.engine->coordinator, &record->saga, &plan);
    if (saga == NULL || record->step >= saga->step_count) {
        return;
    }
    const bool debt = saga->steps[record->step].phase == SAGA_STEP_DEBT;
    const bool again = record->fact == SAGA_COMMAND_ISSUED && record->revision > 1;
    if (record->fact == SAGA_REPLY_RECEIVED) { /* who was parked may go on, and be parked again */
        run.reckoned.bytes += saga_room_of_record(0).bytes;
    }
    if (debt || again) {
        const struct saga_roster_entry *entry =
            saga_roster_find(world.engine->roster, &record->saga);
        const struct saga_room_need command = saga_room_of_record(
            entry->body_bytes + (uint64_t)SAGA_ROOM_REPLY_BYTES * saga->step_count);
        run.reckoned.bytes += command.bytes + saga_room_of_record(SAGA_ROOM_REPLY_BYTES).bytes +
                              SAGA_ROOM_ATTEMPTS * saga_room_of_record(SAGA_ROOM_WORD_BYTES).bytes;
        run.reckoned.in_rows += command.in_rows;
    }
}

/* What was written since, and what is needed now, was needed before. */
static void audit(void) {
    const uint64_t last = saga_log_durable(world.log);
    const struct saga_room_need *needed = &world.engine->room.needed;
    struct saga_room_need spent = *needed;
    for (uint64_t lsn = run.audited + 1; lsn <= last; lsn++) {
        struct saga_record record;
        struct saga_log_reader *reader;
        ck_assert_int_eq(saga_log_committed(world.log, &reader, &run.fault), SAGA_OK);
        ck_assert_int_eq(saga_log_reader_read(reader, NULL, lsn, &record, &run.fault), SAGA_OK);
        allow_more(&record);
        if (is_reckoned(&record)) {
            const struct saga_room_need cost = saga_room_of_record(
                (uint64_t)record.key.size + record.payload.size + record.content.size);
            spent.bytes += cost.bytes;
            spent.in_rows += cost.in_rows;
        }
    }
    ck_assert_msg(spent.bytes <= run.reckoned.bytes && spent.in_rows <= run.reckoned.in_rows,
                  "records %llu to %llu: %llu (%llu) were reckoned, %llu (%llu) needed",
                  (unsigned long long)run.audited + 1, (unsigned long long)last,
                  (unsigned long long)run.reckoned.bytes, (unsigned long long)run.reckoned.in_rows,
                  (unsigned long long)spent.bytes, (unsigned long long)spent.in_rows);
    run.audited = last;
    run.reckoned = *needed;
}

/* What happened now was not to be reckoned with. */
static void begin_audit(void) {
    run.audited = saga_log_durable(world.log);
    run.reckoned = world.engine->room.needed;
}

static void commit(void) {
    while (saga_engine_pending(world.engine)) {
        struct saga_log_room room;
        saga_log_room(world.log, &room);
        const enum saga_error error = saga_engine_commit(world.engine, world.now, &run.fault);
        ck_assert_msg(error == SAGA_OK || (run.large && error == SAGA_ERROR_LOG_WRITE),
                      "seed state %llu, %llu of %llu bytes, file %llu: %s",
                      (unsigned long long)run.random.state, (unsigned long long)room.bytes,
                      (unsigned long long)room.bytes_max, (unsigned long long)room.file_bytes,
                      run.fault.text);
        if (error != SAGA_OK) {
            run.is_full = true;
            return;
        }
    }
    if (run.is_audited) {
        audit();
    } else {
        begin_audit();
    }
}

static void note_commands(void) {
    for (; run.seen < world.sent_count; run.seen++) {
        ck_assert_uint_lt(run.command_count, COMMANDS_MAX);
        run.commands[run.command_count++] = *world_sent(run.seen);
    }
}

static void take(struct saga_request *request) {
    saga_engine_take(world.engine, request, world.now);
    commit();
    note_commands();
}

/* Time passes, and what is due is done: a few things in each commit. */
static void pass(int64_t ms) {
    world_sleep(ms);
    int64_t wake_ms;
    do {
        wake_ms = saga_engine_tick(world.engine, world.now);
        commit();
        note_commands();
    } while (wake_ms <= world.now.boot_ms && !run.is_full);
}

static void open_world(void) {
    run.seen = run.command_count = 0;
    world_open();
    world_define(run.definition);
    run.is_audited = false;
    commit();
    run.is_audited = run.honest;
}

static uint64_t needed(void) {
    const struct saga_engine_stats stats = world_stats();
    return stats.log_bytes_needed;
}

/* As a kill, and a start a while later, would. The same is needed, but for how exactly a row says
 * how much data there is, and for the daemon's start. */
static void restart(void) {
    const uint64_t before = needed();
    world_close();
    world_sleep(100);
    run.seen = run.command_count = 0;
    world_open();
    ck_assert_uint_ge(needed() + needed() / 20 + 200000, before);
    world_define(run.definition);
    run.is_audited = false;
    commit();
    run.is_audited = run.honest;
    seen.restarts++;
    pass(1);
}

/* ------------------------------------------------------------------- starts */

static unsigned input_bytes(void) {
    switch (below(4)) {
    case 0:
        return below(100);
    case 1:
        return below(4000);
    case 2:
        return below(INPUT_MAX / 4);
    default:
        return below(INPUT_MAX);
    }
}

static void start(void) {
    static char input[INPUT_MAX + 64];
    struct saga_listing listing;
    const unsigned bytes = input_bytes();
    const int head = snprintf(input, sizeof input, "{\"n\":%zu,\"t\":\"", run.saga_count);
    memset(input + head, 'x', bytes);
    (void)snprintf(input + head + bytes, 8, "\"}");
    char key[32];
    (void)snprintf(key, sizeof key, "key %zu", run.saga_count);
    struct saga_request request =
        world_start_request("some", chance(50) ? key : "", input, &listing);
    const struct saga_room_need more = saga_room_of_start(
        &saga_engine_definition_at(world.engine, 0)->plan, request.key.size, request.body.size);
    run.reckoned.bytes += more.bytes;
    run.reckoned.in_rows += more.in_rows;
    take(&request);
    if (run.is_full) { /* nobody was told anything */
        return;
    }
    if (request.result == SAGA_RESULT_CREATED) {
        run.sagas[run.saga_count++] = listing.id;
        return;
    }
    ck_assert_int_eq(request.result, SAGA_RESULT_FULL);
    run.refused = true;
}

/* ----------------------------------------------------------------- answers */

/* A reply of at most SAGA_ROOM_REPLY_BYTES; or a large one. */
static void answer(const struct sent *to, const char *word) {
    static char body[LARGE_MAX + 1];
    static char content[LARGE_MAX];
    const unsigned most = (run.large ? LARGE_MAX : SAGA_ROOM_REPLY_BYTES) - 80;
    const unsigned bytes = run.worst ? most : below(most);
    memset(content, 'y', bytes);
    (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\",\"content\":{\"c%u\":\"%.*s\"}}",
                   word, to->id.step, (int)bytes, content);
    struct saga_request request = world_reply_request(to, body);
    take(&request);
}

/* A word about an attempt: retry, or accepted. */
static void answer_shortly(const struct sent *to, const char *word) {
    char body[SAGA_ROOM_WORD_BYTES];
    (void)snprintf(body, sizeof body, "{\"reply_state\":\"%s\"}", word);
    struct saga_request request = world_reply_request(to, body);
    take(&request);
}

/* What an honest participant says of an action, whenever it is asked. */
static bool is_done(const struct saga_command_id *id) {
    struct splitmix fate = {.state =
                                id->saga.bytes[15] * 64u + id->saga.bytes[14] * 31u + id->step};
    return id->step > run.pivot || splitmix_below(&fate, 100) >= run.harm / 4;
}

static const char *good_word(const struct sent *to) {
    if (!run.honest || is_done(&to->id)) {
        return "done";
    }
    switch ((enum saga_operation)to->id.operation) {
    case SAGA_ACTION:
        return "rejected";
    case SAGA_FENCE:
        return "fenced";
    case SAGA_COMPENSATION:
        return "noop";
    case SAGA_SETTLE:
        break;
    }
    return "done";
}

static const char *bad_word(const struct sent *to) {
    switch ((enum saga_operation)to->id.operation) {
    case SAGA_ACTION:
        return run.honest ? good_word(to) : to->id.step > run.pivot ? "done" : "rejected";
    case SAGA_FENCE:
        return run.honest ? good_word(to) : chance(50) ? "fenced" : "rejected";
    case SAGA_COMPENSATION:
        return chance(50) && !run.honest ? "noop" : "rejected";
    case SAGA_SETTLE:
        break;
    }
    return "done";
}

static void answer_worst(const struct sent *to) {
    const unsigned last = run.pivot < run.steps ? run.pivot : run.steps - 1;
    if (to->id.operation == SAGA_ACTION && to->id.step == last && to->attempt >= LOST_MAX) {
        answer(to, bad_word(to));
    } else if (to->attempt >= LOST_MAX || (to->id.operation == SAGA_ACTION && chance(30))) {
        answer(to, good_word(to));
    } /* else it is lost */
}

/* One of the commands under way is answered, in one way or another, or lost. */
static void answer_one(unsigned harm) {
    const size_t index = below((unsigned)run.command_count);
    const struct sent to = run.commands[index];
    run.commands[index] = run.commands[--run.command_count];
    if (run.worst && harm > 0) {
        answer_worst(&to);
    } else if (!chance(harm)) {
        answer(&to, good_word(&to));
    } else if (to.attempt >= LOST_MAX || chance(40)) {
        answer(&to, bad_word(&to));
    } else if (chance(30)) {
        answer_shortly(&to, "retry");
    } else if (chance(50)) {
        pass(1500); /* it, and perhaps others, time out */
    }
}

/* --------------------------------------------------------------------- ends */

static bool ended(const struct saga_id *id) {
    const char *status = world_find(*id).status;
    ck_assert_ptr_nonnull(status);
    for (uint8_t outcome = 1; outcome <= SAGA_OUTCOME_COUNT; outcome++) {
        if (strcmp(status, saga_outcome_name(outcome)) == 0) {
            return true;
        }
    }
    return false;
}

static void operate(const struct saga_id *id, enum saga_request_type type, unsigned step,
                    enum saga_verdict verdict) {
    char name[8];
    (void)snprintf(name, sizeof name, "s%u", step);
    struct saga_request request = world_request(type);
    request.id = *id;
    request.key = world_bytes("op");
    request.step = world_bytes(name);
    request.verdict = (uint8_t)verdict;
    run.is_audited = false;
    take(&request);
    run.is_audited = run.honest;
}

/* Whoever is parked is helped by an operator, whatever it is about. */
static void help(const struct saga_id *id) {
    for (unsigned step = 0; step < run.steps && !ended(id); step++) {
        operate(id, SAGA_REQUEST_WRITE_OFF, step, 0);
        operate(id, SAGA_REQUEST_RESOLVE, step, SAGA_DONE);
    }
}

static void end_all(void) {
    for (unsigned round = 0; round < 400; round++) {
        while (run.command_count > 0) {
            answer_one(round < (run.worst ? 300 : 5) ? run.harm : 0);
        }
        pass(2000);
        if (run.command_count == 0 && saga_engine_open_sagas(world.engine) == 0) {
            break;
        }
        for (size_t i = 0; i < run.saga_count && run.command_count == 0; i++) {
            if (!ended(&run.sagas[i])) {
                help(&run.sagas[i]);
            }
        }
    }
    for (size_t i = 0; i < run.saga_count; i++) {
        ck_assert_msg(ended(&run.sagas[i]), "%s", world_find(run.sagas[i]).status);
    }
}

/* ---------------------------------------------------------------------- all */

static void begin(const char *path, uint64_t seed) {
    run = (struct run){.random = {.state = seed}};
    world_init(path);
    world.map_bytes = (1u << 20) + below(6u << 20);
    world.checkpoints.records = 20 + below(400);
    world.checkpoints.records_open = 1 + below(10);
    world.checkpoints.slice_entries = 1 + below(64);
    run.worst = chance(30);
    run.honest = chance(70);
    run.harm = run.worst ? 100 : below(70);
    make_definition();
    open_world();
}

/* So many steps of the load, or until there is no room; `eager`: with nothing answered meanwhile
 * all room goes to what is open. */
static void load(unsigned count, bool eager) {
    for (unsigned i = 0; i < count && run.saga_count < SAGAS_MAX; i++) {
        if (run.command_count == 0 || chance(eager ? 95 : 30)) {
            start();
        } else {
            answer_one(run.harm);
        }
        if (chance(1)) {
            restart();
        }
    }
}

static void one_run(uint64_t seed) {
    struct scratch scratch;
    scratch_open_in_memory(&scratch);
    begin(scratch.path, seed);
    load(200 + below(600), run.worst || chance(50));
    seen.sagas += run.saga_count;
    seen.refused += run.refused;
    end_all();
    seen.percent += saga_log_full_percent(world.log);
    world_close();
    scratch_close(&scratch);
}

static unsigned runs(void) {
    const char *text = getenv("SAGA_ROOM_RUNS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 60;
}

START_TEST(whoever_is_accepted_ends) {
    const char *first = getenv("SAGA_ROOM_SEED");
    const uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : 1;
    const unsigned count = runs();
    for (unsigned i = 0; i < count; i++) {
        one_run(seed + i);
    }
    (void)fprintf(stderr,
                  "%u runs, %u with refusals, %llu sagas, %u restarts, %llu %% at the end\n", count,
                  seen.refused, (unsigned long long)seen.sagas, seen.restarts,
                  (unsigned long long)seen.percent / count);
    if (count >= 60) { /* it was about something */
        ck_assert_uint_gt(seen.refused, count / 3);
        ck_assert_uint_gt(seen.sagas, 5 * count);
        ck_assert_uint_gt(seen.restarts, count / 3);
    }
}
END_TEST

/* What is not reckoned with may fill the log: then nothing more is taken or told, as the process
 * would end; and whoever was accepted ends when there is room again. */
START_TEST(what_nobody_reckons_with_waits_for_room) {
    unsigned full = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct scratch scratch;
        scratch_open_in_memory(&scratch);
        begin(scratch.path, seed);
        run.is_audited = run.honest = false;
        run.large = true;
        for (unsigned i = 0; i < 3000 && !run.is_full && run.saga_count < SAGAS_MAX; i++) {
            if (run.command_count == 0 || (!run.refused && chance(70))) {
                start();
            } else {
                answer_one(run.harm);
            }
        }
        full += run.is_full;
        world_close();
        world.map_bytes = 256u << 20;
        world_sleep(100);
        run.large = run.is_full = false;
        open_world();
        run.is_audited = false;
        pass(1);
        end_all();
        world_close();
        scratch_close(&scratch);
    }
    ck_assert_uint_gt(full, 1);
}
END_TEST

static Suite *suite(void) {
    Suite *suite = suite_create("room");
    TCase *room = tcase_create("room");
    tcase_set_timeout(room, 3600);
    tcase_add_test(room, whoever_is_accepted_ends);
    tcase_add_test(room, what_nobody_reckons_with_waits_for_room);
    suite_add_tcase(suite, room);
    return suite;
}

int main(void) {
    return check_run(suite());
}
