#include "loose.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "draw.h"
#include "ids.h"
#include "service.h"
#include "swarm.h"
#include "trace.h"

#define BOOKS_MAX 512

/* What is known of one step of one saga. */
struct book {
    struct saga_id saga;
    uint8_t step;
    struct sim_tally tally;
    bool was_busy; /* it has said `retry` to the action */
};

enum manner { RUNS_AGAIN = 0, REFUSES, SAYS_NOTHING };

static struct book books[BOOKS_MAX];
static unsigned book_count;
static enum manner manners[SIM_PARTY_COUNT];
static bool names_attempts[SIM_PARTY_COUNT];
static bool answers_noop[SIM_PARTY_COUNT]; /* where there is nothing to undo */
static unsigned lies;                      /* per mille */

void sim_loose_begin(void) {
    static const unsigned rates[] = {0, 50, 200, 500};
    book_count = 0;
    for (int i = 0; i < SIM_PARTY_COUNT; i++) {
        manners[i] = (enum manner)sim_draw_below(3);
        names_attempts[i] = sim_draw_chance(200); /* those of the Python example never do */
        answers_noop[i] = sim_draw_chance(600);
    }
    /* Who says that it keeps a fence is asked behind the pivot until it answers. */
    manners[SIM_LIAR] = (enum manner)sim_draw_below(2);
    lies = rates[sim_draw_below(4)];
}

void sim_loose_heal(void) {
    lies = 0;
}

bool sim_loose_repeats(enum sim_party party) {
    return manners[party] != SAYS_NOTHING;
}

static struct book *look_up(const struct saga_id *saga, uint8_t step) {
    for (unsigned i = 0; i < book_count; i++) {
        if (books[i].step == step && memcmp(&books[i].saga, saga, sizeof *saga) == 0) {
            return &books[i];
        }
    }
    return NULL;
}

struct sim_tally sim_service_tally(const struct saga_id *saga, uint8_t step) {
    static const struct sim_tally nothing;
    const struct book *book = look_up(saga, step);
    return book == NULL ? nothing : book->tally;
}

static struct book *book_of(const struct sim_command *command) {
    struct book *book = look_up(&command->id.saga, command->id.step);
    if (book == NULL) {
        assert(book_count < BOOKS_MAX);
        book = &books[book_count++];
        *book = (struct book){.saga = command->id.saga, .step = command->id.step};
    }
    return book;
}

static void say(const struct sim_command *command, const char *event) {
    char text[SAGA_COMMAND_TEXT_SIZE];
    char body[512];
    const char *step = command->step->name;
    int size = snprintf(body, sizeof body,
                        "{\"id\": \"%s\", \"content\": {\"%s\": \"%08llx\", \"last\": \"%s\"}, "
                        "\"reply_state\": \"%s\"}",
                        saga_command_text(&command->id, step, text), step,
                        (unsigned long long)(sim_draw() >> 32), step, event);
    assert(size > 0 && (size_t)size < sizeof body);
    sim_trace("%-10s %s#%u -> %s", sim_parties[command->step->party].name, text, command->attempt,
              event);
    struct sim_command answered = *command;
    answered.attempt = names_attempts[command->step->party] ? command->attempt : 0;
    sim_network_reply(&answered, 0, body, (size_t)size);
}

/* Says something, whatever the truth is. */
static void lie(const struct sim_command *command, struct book *book) {
    static const char *const words[SAGA_OPERATION_COUNT + 1][6] = {
        [SAGA_ACTION] = {"DID", "REFUSED", "fenced", "noop", "retry", "fenced"},
        [SAGA_COMPENSATION] = {"UNDID", "STUCK", "noop", "fenced", "retry", "noop"},
        [SAGA_FENCE] = {"done", "rejected", "fenced", "noop", "retry", "done"},
        [SAGA_SETTLE] = {"done", "rejected", "fenced", "noop", "retry", "done"},
    };
    if (sim_draw_chance(500)) {
        book->tally.acted += command->id.operation == SAGA_ACTION;
        book->tally.undone += command->id.operation == SAGA_COMPENSATION;
    }
    say(command, words[command->id.operation][sim_draw_below(6)]);
}

static void act(const struct sim_command *command, struct book *book) {
    bool behind = command->step->place == SIM_BEHIND;
    const char *no = behind ? "rejected" : command->step->rejected; /* no event is listed there */
    if (book->tally.acted > 0 && manners[command->step->party] != RUNS_AGAIN) {
        if (manners[command->step->party] == REFUSES) {
            say(command, no);
        }
        return;
    }
    /* Where nothing is doubled, `retry` decides whether a later rejection is believed: so it is
     * said twice as often, and a rejection follows it more often than others. */
    bool single = command->step->party == SIM_SINGLE;
    bool busy = single && sim_fault(SIM_FAULT_RETRY);
    if (busy || sim_fault(SIM_FAULT_RETRY)) {
        book->was_busy = true;
        say(command, "retry");
    } else if (!behind && (sim_fault(SIM_FAULT_REJECT) ||
                           (single && book->was_busy && sim_draw_chance(300)))) {
        say(command, no);
    } else {
        book->tally.acted++;
        say(command, "DID");
    }
}

static void undo(const struct sim_command *command, struct book *book) {
    if (sim_fault(SIM_FAULT_RETRY)) {
        say(command, "retry");
    } else if (sim_fault(SIM_FAULT_UNDO_REJECT)) {
        say(command, "STUCK");
    } else if (book->tally.acted == 0 && answers_noop[command->step->party]) {
        say(command, "noop");
    } else {
        book->tally.undone++;
        say(command, "UNDID");
    }
}

/* Of a liar only: it has no fence, and says what it saw. */
static void fence(const struct sim_command *command, const struct book *book) {
    say(command, book->tally.acted > 0 ? "done" : "fenced");
}

void sim_loose_carry_out(const struct sim_command *command) {
    struct book *book = book_of(command);
    if (command->step->party == SIM_LIAR && sim_draw_chance(lies)) {
        lie(command, book);
        return;
    }
    switch ((enum saga_operation)command->id.operation) {
    case SAGA_ACTION:
        act(command, book);
        return;
    case SAGA_COMPENSATION:
        undo(command, book);
        return;
    case SAGA_FENCE:
        fence(command, book);
        return;
    case SAGA_SETTLE: /* of a liar: it keeps no row, and says that it closed it */
        say(command, "done");
        return;
    }
}
