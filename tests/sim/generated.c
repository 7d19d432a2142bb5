#include "generated.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "draw.h"
#include "effect.h"
#include "ids.h"
#include "swarm.h"

/* Two such answers do not fit into one command. */
#define BLOAT_BYTES (600u << 10)

static json_t *content_of(const struct saga_call *call) {
    static char bloat[BLOAT_BYTES + 1];
    char nonce[17];
    if (sim_fault(SIM_FAULT_BLOAT)) {
        if (bloat[0] == '\0') {
            memset(bloat, 'x', BLOAT_BYTES);
        }
        return json_pack("{s:s, s:s}", call->command->step, bloat, "last", call->command->step);
    }
    (void)snprintf(nonce, sizeof nonce, "%016llx", (unsigned long long)sim_draw());
    return json_pack("{s:s, s:s}", call->command->step, nonce, "last", call->command->step);
}

/* Behind the pivot nobody says no: a participant that keeps its contract. */
static bool may_reject(const struct saga_call *call) {
    struct saga_id id;
    bool parsed = saga_id_parse(call->command->saga, strlen(call->command->saga), &id);
    assert(parsed);
    const struct sim_shape *shape = sim_check_shape_of(&id);
    return shape->steps[call->command->step[1] - '0'].place != SIM_BEHIND;
}

static enum saga_wire_outcome act(struct saga_call *call) {
    if (sim_fault(SIM_FAULT_RETRY)) {
        return saga_call_answer(call, SAGA_WIRE_RETRY, "RETRY", NULL);
    }
    if (sim_fault(SIM_FAULT_ERROR)) {
        (void)saga_effect_done(call, "HALF_DONE"); /* to be taken back */
        return saga_call_fail(call, "the business code met an error");
    }
    if (may_reject(call) && sim_fault(SIM_FAULT_REJECT)) {
        return saga_effect_rejected(call, "REFUSED");
    }
    return saga_effect_answer(call, SAGA_WIRE_DONE, "DID", content_of(call));
}

static enum saga_wire_outcome undo(struct saga_call *call) {
    if (sim_fault(SIM_FAULT_RETRY)) {
        return saga_call_answer(call, SAGA_WIRE_RETRY, "RETRY", NULL);
    }
    if (sim_fault(SIM_FAULT_ERROR)) {
        return saga_call_fail(call, "the business code met an error");
    }
    if (sim_fault(SIM_FAULT_UNDO_REJECT)) {
        return saga_effect_rejected(call, "STUCK");
    }
    return saga_effect_done(call, "UNDID");
}

#define COMMANDS(P)                                                                                \
    {P ".do0", SAGA_WIRE_ACTION, "REFUSED", act}, {P ".do1", SAGA_WIRE_ACTION, "REFUSED", act},    \
        {P ".do2", SAGA_WIRE_ACTION, "REFUSED", act},                                              \
        {P ".do3", SAGA_WIRE_ACTION, "REFUSED", act},                                              \
        {P ".do4", SAGA_WIRE_ACTION, "REFUSED", act},                                              \
        {P ".do5", SAGA_WIRE_ACTION, "REFUSED", act},                                              \
        {P ".undo0", SAGA_WIRE_COMPENSATION, NULL, undo},                                          \
        {P ".undo1", SAGA_WIRE_COMPENSATION, NULL, undo},                                          \
        {P ".undo2", SAGA_WIRE_COMPENSATION, NULL, undo},                                          \
        {P ".undo3", SAGA_WIRE_COMPENSATION, NULL, undo},                                          \
        {P ".undo4", SAGA_WIRE_COMPENSATION, NULL, undo},                                          \
        {P ".undo5", SAGA_WIRE_COMPENSATION, NULL, undo},

static const struct saga_service_command a_commands[] = {COMMANDS("fa")};
static const struct saga_service_command b_commands[] = {COMMANDS("fb")};

static const struct saga_service services[2] = {
    {
        .name = "fa",
        .schema = SAGA_EFFECT_SCHEMA,
        .command_count = sizeof a_commands / sizeof a_commands[0],
        .commands = a_commands,
    },
    {
        .name = "fb",
        .schema = SAGA_EFFECT_SCHEMA,
        .command_count = sizeof b_commands / sizeof b_commands[0],
        .commands = b_commands,
    },
};

const struct saga_service *sim_generated_service(enum sim_party party) {
    assert(party == SIM_FENCED_A || party == SIM_FENCED_B);
    return &services[party - SIM_FENCED_A];
}
