#include "network.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agenda.h"
#include "check.h"
#include "client.h"
#include "daemon.h"
#include "draw.h"
#include "ids.h"
#include "marks.h"
#include "memory.h"
#include "service.h"
#include "swarm.h"
#include "trace.h"

#define MESSAGES_MAX 4096

enum stage {
    FREE = 0,
    TRAVELLING, /* on the agenda */
    LIMBO,
    WAITING, /* a reply at the broker: there is no daemon */
    ASKED,   /* a reply that the daemon has, unacknowledged */
};

struct message {
    enum stage stage;
    bool is_reply;
    bool unreadable;    /* a reply's body */
    bool is_unsent;     /* a transport's word to the daemon that this one returned */
    uint32_t stamp;     /* tells it from an earlier one in this place */
    uint32_t life;      /* UNSENT: of the daemon that sent it */
    uint64_t departure; /* order of sending */
    struct sim_command command;
    uint8_t verdict;
    char *body;
    char name[32];
    struct saga_request request;
};

static struct message messages[MESSAGES_MAX];
static uint32_t free_list[MESSAGES_MAX];
static unsigned free_count;
static uint32_t stamps;
static unsigned in_flight;
static unsigned in_limbo;
static uint64_t departures;
static uint64_t last_arrival[SIM_PARTY_COUNT];
static bool peer_lost;
static uint32_t resend_life; /* of the daemon that is asked to send everything again; 0: none is */
static struct saga_request resend;
static bool has_alarm; /* the peer is there, takes nothing, and has lost nothing */

static void arrive(void *context, uint64_t number);

/* ---------------------------------------------------------------- messages */

void sim_network_begin(void) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (messages[i].stage != FREE) {
            free(messages[i].body);
        }
        messages[i].stage = FREE;
        messages[i].body = NULL;
        free_list[i] = MESSAGES_MAX - 1 - i;
    }
    free_count = MESSAGES_MAX;
    in_flight = 0;
    in_limbo = 0;
    departures = 0;
    memset(last_arrival, 0, sizeof last_arrival);
    peer_lost = false;
    has_alarm = false;
    resend_life = 0;
}

unsigned sim_network_in_flight(void) {
    return in_flight;
}

unsigned sim_network_in_limbo(void) {
    return in_limbo;
}

static void set_stage(struct message *message, enum stage stage) {
    in_flight -=
        message->stage == TRAVELLING || message->stage == WAITING || message->stage == ASKED;
    in_limbo -= message->stage == LIMBO;
    message->stage = stage;
    in_flight += stage == TRAVELLING || stage == WAITING || stage == ASKED;
    in_limbo += stage == LIMBO;
}

/* NULL: the network is full, and loses it. */
static struct message *make(const struct sim_command *command, const char *body, size_t body_size) {
    if (free_count == 0) {
        return NULL;
    }
    struct message *message = &messages[free_list[--free_count]];
    memset(message, 0, sizeof *message);
    message->stamp = ++stamps;
    message->departure = ++departures;
    message->command = *command;
    if (command->name != NULL) { /* the caller's may be gone when the message arrives */
        (void)snprintf(message->name, sizeof message->name, "%s", command->name);
        message->command.name = message->name;
    }
    message->body = malloc(body_size + 1);
    assert(message->body != NULL);
    memcpy(message->body, body, body_size);
    message->body[body_size] = '\0';
    message->command.body_size = body_size;
    return message;
}

static void discard(struct message *message) {
    set_stage(message, FREE);
    free(message->body);
    message->body = NULL;
    message->stamp = 0;
    free_list[free_count++] = (uint32_t)(message - messages);
}

static void travel(struct message *message, int64_t delay_ms) {
    set_stage(message, TRAVELLING);
    sim_agenda_add(sim_now() + delay_ms, arrive, message, message->stamp);
}

static int64_t draw_delay(enum sim_fault late, const struct sim_command *command) {
    if (!sim_fault(late)) {
        return sim_draw_between(0, 20);
    }
    int64_t timeout_ms = command->step->action.timeout_ms;
    return sim_draw_chance(300) ? sim_draw_between(timeout_ms, 600000)
                                : sim_draw_between(20, timeout_ms * 3);
}

static const char *id_text(const struct sim_command *command, char *text) {
    return saga_command_text(&command->id, command->step->name, text);
}

static void lose_everything(void) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (messages[i].stage == TRAVELLING || messages[i].stage == WAITING) {
            discard(&messages[i]);
        }
    }
    sim_trace("broker     lost everything");
}

/* -------------------------------------------------------------------- outages */

static void resent(struct saga_request *request) {
    int depth = sim_memory_suspend();
    resend_life = 0;
    sim_check_resent();
    if (request->type == SAGA_REQUEST_RESEND) { /* else nobody has to wait for it */
        sim_daemon_sends_again();
    }
    sim_memory_resume(depth);
}

/* The daemon's transport has found its peer. One that starts later sends everything anyway. */
static void find_peer(void *context, uint64_t number) {
    (void)context;
    (void)number;
    peer_lost = false;
    sim_trace("network    the peer is back");
    if (sim_daemon_is_up() && resend_life != sim_daemon_life()) {
        resend = (struct saga_request){.type = has_alarm ? SAGA_REQUEST_HURRY : SAGA_REQUEST_RESEND,
                                       .answered = resent};
        resend_life = sim_daemon_life();
        if (!sim_daemon_ask(&resend)) {
            resend_life = 0;
        }
    }
}

/* What was handed over may be gone with the peer; nothing more is taken for a while. */
static void lose_peer(void) {
    peer_lost = true;
    has_alarm = sim_draw_chance(300);
    sim_trace("network    the peer %s", has_alarm ? "takes nothing" : "is lost");
    for (unsigned i = 0; i < MESSAGES_MAX && !has_alarm; i++) {
        if (messages[i].stage == TRAVELLING && !messages[i].is_unsent && sim_draw_chance(500)) {
            discard(&messages[i]);
        }
    }
    /* Often for so short that what it returned before is still on its way back. */
    const int64_t ms =
        sim_draw_chance(300) ? sim_draw_between(5, 300) : sim_draw_between(20, 40000);
    sim_agenda_add(sim_now() + ms, find_peer, NULL, 0);
}

/* ------------------------------------------------------------------ commands */

static void depart(const struct sim_command *command, const char *body) {
    struct message *message = make(command, body, command->body_size);
    if (message == NULL) {
        return;
    }
    if (sim_fault(SIM_FAULT_LIMBO)) {
        set_stage(message, LIMBO);
        return;
    }
    travel(message, draw_delay(SIM_FAULT_DELAY, command));
}

/* A fence has overtaken its action, which is hard on its heels. */
static void chase(const struct saga_command_id *fence) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        struct message *message = &messages[i];
        struct saga_command_id *id = &message->command.id;
        if ((message->stage == TRAVELLING || message->stage == LIMBO) && !message->is_reply &&
            !message->is_unsent && id->operation == SAGA_ACTION && id->step == fence->step &&
            memcmp(&id->saga, &fence->saga, sizeof fence->saga) == 0 &&
            (sim_swarm.doubtful || sim_fault(SIM_FAULT_DOUBLE))) {
            struct message *copy =
                make(&message->command, message->body, message->command.body_size);
            if (copy != NULL) {
                memcpy(copy->name, message->name, sizeof copy->name);
                travel(copy, sim_draw_between(5, 60));
            }
            return;
        }
    }
}

static void come_back(const struct sim_command *command, const char *body) {
    struct message *message = make(command, body, command->body_size);
    if (message != NULL) {
        message->is_unsent = true;
        message->life = sim_daemon_life();
        travel(message, sim_draw_between(1, 500));
    }
}

/* What becomes of a command that the engine sends. False: nobody is there. */
static bool send(const struct sim_command *command, const char *body) {
    char text[SAGA_COMMAND_TEXT_SIZE];
    if (!peer_lost && sim_fault(SIM_FAULT_OUTAGE)) {
        lose_peer();
    }
    if (peer_lost || sim_fault(SIM_FAULT_UNROUTABLE) ||
        !sim_service_is_bound(command->step->party)) {
        sim_trace("network    %s#%u unroutable", id_text(command, text), command->attempt);
        return false;
    }
    if (sim_trace_wanted()) {
        sim_trace("send       %s#%u", id_text(command, text), command->attempt);
    }
    if (command->id.operation == SAGA_FENCE) {
        sim_client_provoke(&command->id.saga);
        chase(&command->id);
    }
    if (sim_fault(SIM_FAULT_BROKER_LOSS)) {
        lose_everything();
    }
    if (sim_fault(SIM_FAULT_RETURNED)) {
        sim_trace("network    %s#%u will be returned", id_text(command, text), command->attempt);
        come_back(command, body);
        return true;
    }
    sim_check_wired(&command->id, command->attempt);
    if (sim_swarm_is_black() || sim_fault(SIM_FAULT_DROP)) {
        sim_trace("network    %s#%u dropped", id_text(command, text), command->attempt);
        return true;
    }
    depart(command, body);
    if (!sim_parties[command->step->party].single) {
        while (sim_fault(SIM_FAULT_DOUBLE)) {
            sim_trace("network    %s#%u doubled", id_text(command, text), command->attempt);
            depart(command, body);
        }
    }
    return true;
}

bool sim_network_send(void *context, const struct saga_dispatch *dispatch) {
    (void)context;
    int depth = sim_memory_suspend();
    sim_check_send(dispatch);
    const struct sim_shape *shape = sim_check_shape_of(&dispatch->id.saga);
    const struct sim_step *step = &shape->steps[dispatch->id.step];
    struct sim_command command = {
        .id = dispatch->id,
        .attempt = dispatch->attempt,
        .shape = shape,
        .step = step,
        .name = dispatch->name,
        .issued_at_ms = dispatch->command_at_ms,
        .deadline_ms = dispatch->deadline_ms,
        .body_size = dispatch->body_size,
    };
    sim_trace_hash(&dispatch->id, sizeof dispatch->id);
    sim_trace_hash_number(dispatch->attempt);
    bool sent = send(&command, dispatch->body);
    if (!sent) {
        sim_check_refused(&dispatch->id, dispatch->attempt);
    }
    sim_memory_resume(depth);
    return sent;
}

void sim_network_again(const struct sim_command *command, int64_t delay_ms, bool accepted) {
    struct message *message = make(command, command->body, command->body_size);
    if (message != NULL) {
        message->command.accepted = accepted;
        travel(message, delay_ms);
    }
}

/* ------------------------------------------------------------------- replies */

static struct message *make_reply(const struct sim_command *command, uint8_t verdict,
                                  const char *body, size_t body_size) {
    struct message *message = make(command, body, body_size);
    if (message != NULL) {
        message->is_reply = true;
        message->verdict = verdict;
    }
    return message;
}

/* A reply for a command that was never issued, or of a saga that never was. Sent and
 * heard at once: a command that is issued later must not be the one it names. */
static void forge(const struct sim_command *command) {
    static const char body[] = "{\"id\": \"forged\", \"content\": {\"forged\": 1}, "
                               "\"reply_state\": \"done\"}";
    bool stranger = sim_fault(SIM_FAULT_UNKNOWN_SAGA);
    if (!stranger && !sim_fault(SIM_FAULT_WRONG_COMMAND)) {
        return;
    }
    struct message *message = make_reply(command, SAGA_DONE, body, sizeof body - 1);
    if (message == NULL) {
        return;
    }
    struct saga_command_id *id = &message->command.id;
    if (stranger) {
        sim_draw_bytes(NULL, id->saga.bytes, sizeof id->saga.bytes);
    } else {
        switch (sim_draw_below(4)) {
        case 0:
            id->incarnation = 2; /* nothing runs a step again yet */
            break;
        case 1:
            id->operation = SAGA_ACTION;
            id->revision = 7;
            break;
        case 2:
            id->step = (uint8_t)sim_draw_between(SIM_STEPS_MAX, 255);
            break;
        default:
            id->revision = 60000;
            break;
        }
    }
    travel(message, 0);
}

/* In doubtful seeds what a fence says, and a rejection, is often not heard, or too late. */
static bool is_missed(const struct sim_command *command, uint8_t verdict) {
    return sim_swarm.doubtful && sim_swarm.rates[SIM_FAULT_REPLY_DROP] > 0 &&
           (command->id.operation == SAGA_FENCE || verdict == SAGA_REJECTED) &&
           sim_draw_chance(600);
}

/* A reply as the network carries it. */
struct wording {
    uint8_t verdict;
    const char *body;
    size_t size;
    bool unreadable;
};

static struct wording garble(struct wording wording) {
    static const char *const unreadable[] = {
        "", "{", "[1]", "{\"reply_state\": 1, ", "{\"a\": 1, \"a\": 2}", "\xff\xfe"};
    static const char unlisted[] = "{\"content\": null, \"reply_state\": \"NEVER_HEARD_OF\"}";
    if (sim_fault(SIM_FAULT_MALFORMED)) {
        const char *body = unreadable[sim_draw_below(6)];
        bool empty = body[0] == '\0'; /* a header alone would be a reply */
        return (struct wording){empty ? 0 : wording.verdict, body, strlen(body), !empty};
    }
    if (sim_fault(SIM_FAULT_UNLISTED)) {
        return (struct wording){0, unlisted, sizeof unlisted - 1, false};
    }
    if (wording.verdict != 0 && wording.verdict != SAGA_DONE && sim_draw_chance(20)) {
        sim_mark(SIM_MARK_HEADER_ALONE);
        wording.size = 0;
    }
    return wording;
}

void sim_network_reply(const struct sim_command *command, uint8_t verdict, const char *body,
                       size_t body_size) {
    char text[SAGA_COMMAND_TEXT_SIZE];
    struct sim_command answered = *command;
    forge(command);
    bool missed = is_missed(command, verdict);
    if ((missed && sim_draw_chance(500)) || sim_swarm_is_black() ||
        sim_fault(SIM_FAULT_REPLY_DROP)) {
        sim_trace("network    reply to %s#%u dropped", id_text(command, text), command->attempt);
        return;
    }
    struct wording wording = garble((struct wording){verdict, body, body_size, false});
    if (sim_fault(SIM_FAULT_ANONYMOUS)) {
        answered.attempt = 0;
    }
    do {
        struct message *message =
            make_reply(&answered, wording.verdict, wording.body, wording.size);
        if (message == NULL) {
            return;
        }
        message->unreadable = wording.unreadable;
        int64_t timeout_ms = command->step->action.timeout_ms;
        if (sim_fault(SIM_FAULT_REPLY_LIMBO)) {
            set_stage(message, LIMBO);
        } else if (missed) {
            travel(message, sim_draw_between(timeout_ms, timeout_ms * 6));
        } else {
            travel(message, draw_delay(SIM_FAULT_REPLY_DELAY, command));
        }
    } while (sim_fault(SIM_FAULT_REPLY_DOUBLE));
}

/* On the daemon's side, after the commit: the reply is acknowledged. */
static void answered(struct saga_request *request) {
    struct message *message = request->context;
    int depth = sim_memory_suspend();
    assert(message->stage == ASKED);
    if (!message->is_unsent) {
        const bool is_read =
            request->result != SAGA_RESULT_NO_SAGA || sim_check_knows(&request->command.saga);
        if (is_read && (request->result == SAGA_RESULT_INVALID) !=
                           (message->unreadable || message->command.id.step >= SIM_STEPS_MAX)) {
            sim_violation("X3", "a reply that %s is %s",
                          message->unreadable ? "is poison" : "can be read",
                          message->unreadable ? "taken" : "thrown away");
        }
        sim_check_acknowledged(request);
    }
    if (sim_trace_wanted()) {
        char text[SAGA_COMMAND_TEXT_SIZE];
        static const char *const answers[] = {"-",       "taken", "pending", "already", "late",
                                              "refused", "stale", "full",    "no saga"};
        sim_trace("ack        %s %s#%u %s: %s", message->is_unsent ? "return of" : "reply to",
                  id_text(&message->command, text), message->command.attempt,
                  message->is_unsent ? "" : saga_verdict_name(message->verdict),
                  request->result == SAGA_RESULT_OK ? answers[request->answer] : request->text);
    }
    discard(message);
    sim_memory_resume(depth);
}

static void ask(struct message *message) {
    message->request = (struct saga_request){
        .type = message->is_unsent ? SAGA_REQUEST_UNSENT : SAGA_REQUEST_REPLY,
        .answered = answered,
        .context = message,
        .body = {.data = message->body,
                 .size = message->is_unsent ? 0 : (uint32_t)message->command.body_size},
        .command = message->command.id,
        .attempt = message->command.attempt,
        .verdict = message->verdict,
    };
    set_stage(message, ASKED);
    if (!sim_daemon_ask(&message->request)) {
        set_stage(message, WAITING);
    }
}

void sim_network_daemon_died(void) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (messages[i].stage == ASKED) {
            if (messages[i].is_unsent) {
                discard(&messages[i]); /* its transport died, too */
            } else {
                set_stage(&messages[i], WAITING);
            }
        }
    }
}

void sim_network_daemon_up(void) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (messages[i].stage == WAITING) {
            ask(&messages[i]);
        }
    }
}

/* ------------------------------------------------------------------ arriving */

static void deliver(struct message *message) {
    struct sim_command command = message->command;
    char *body = message->body;
    enum sim_party party = command.step->party;
    char name[sizeof message->name];
    memcpy(name, message->name, sizeof name);
    command.name = name;
    command.body = body;
    if (message->departure < last_arrival[party]) {
        sim_mark(SIM_MARK_REORDERED);
    } else {
        last_arrival[party] = message->departure;
    }
    if (sim_check_has_ended(&command.id.saga)) {
        sim_mark(SIM_MARK_LATE_COMMAND);
    }
    message->body = NULL;
    discard(message);
    sim_service_take(&command);
    free(body);
}

static void arrive(void *context, uint64_t number) {
    struct message *message = context;
    if (message->stage != TRAVELLING || message->stamp != number) {
        return; /* it was lost on the way */
    }
    if (message->is_unsent) {
        if (message->life == sim_daemon_life() && sim_daemon_is_up()) {
            ask(message);
        } else {
            discard(message);
        }
    } else if (message->is_reply) {
        if (sim_check_has_ended(&message->command.id.saga)) {
            sim_mark(SIM_MARK_LATE_REPLY);
        }
        ask(message);
    } else {
        deliver(message);
    }
}

void sim_network_release_limbo(void) {
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (messages[i].stage == LIMBO) {
            travel(&messages[i], sim_draw_between(0, 5000));
        }
    }
}
