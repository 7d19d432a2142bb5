#include "marks.h"

#include <inttypes.h>
#include <stdio.h>

#include "failpoint.h"
#include "rules.h"
#include "swarm.h"

struct sim_marks *sim_marks;

_Static_assert(SIM_FAULT_COUNT <= 64, "room for the faults");
_Static_assert(SIM_STATE_COUNT < SIM_MARK_STATES + 1 && SIM_MOVE_COUNT < SIM_MARK_MOVES + 1,
               "room for the moves");
_Static_assert(SAGA_FAILPOINT_KIND_COUNT < SIM_MARK_KINDS, "room for the failpoints");
_Static_assert(SAGA_FAILPOINT_PLACE_COUNT < SIM_MARK_PLACES, "room for the failpoints");

static const char *const names[SIM_MARK_COUNT] = {
    [SIM_MARK_RECOVERY] = "recovered with open sagas",
    [SIM_MARK_RECOVERY_KILLED_AGAIN] = "killed in recovery",
    [SIM_MARK_RECOVERY_KILLED_5] = "killed in recovery 5 times in a row",
    [SIM_MARK_COMMIT_OLD] = "commit in doubt: lost",
    [SIM_MARK_COMMIT_NEW] = "commit in doubt: landed",
    [SIM_MARK_CHECKPOINT] = "a checkpoint is complete",
    [SIM_MARK_CHECKPOINT_BEGUN] = "recovery begins at a checkpoint",
    [SIM_MARK_CHECKPOINT_CUT] = "a death between two slices of a checkpoint",
    [SIM_MARK_WALL_BACK] = "wall clock back",
    [SIM_MARK_WALL_FORWARD] = "wall clock forward",
    [SIM_MARK_REORDERED] = "command overtaken",
    [SIM_MARK_LATE_COMMAND] = "command delivered after the end",
    [SIM_MARK_LATE_REPLY] = "reply delivered after the end",
    [SIM_MARK_EXPIRED] = "command older than the rows",
    [SIM_MARK_START_CREATED] = "start: created",
    [SIM_MARK_START_AGAIN] = "start: the same again",
    [SIM_MARK_START_CONFLICT] = "start: conflict",
    [SIM_MARK_START_FULL] = "start: full",
    [SIM_MARK_START_DRAINING] = "start: draining",
    [SIM_MARK_CANCEL_TAKEN] = "cancel: taken",
    [SIM_MARK_CANCEL_PENDING] = "cancel: pending",
    [SIM_MARK_CANCEL_ALREADY] = "cancel: already",
    [SIM_MARK_CANCEL_REFUSED] = "cancel: refused",
    [SIM_MARK_RETRY_TAKEN] = "retry: taken",
    [SIM_MARK_RETRY_REFUSED] = "retry: refused",
    [SIM_MARK_RESOLVE_TAKEN] = "resolve: taken",
    [SIM_MARK_RESOLVE_PENDING] = "resolve: pending",
    [SIM_MARK_RESOLVE_REFUSED] = "resolve: refused",
    [SIM_MARK_SETTLE_TAKEN] = "mark-compensated, write-off: taken",
    [SIM_MARK_SETTLE_ALREADY] = "mark-compensated, write-off: already",
    [SIM_MARK_SETTLE_REFUSED] = "mark-compensated, write-off: refused",
    [SIM_MARK_FORCED] = "compensation forced",
    [SIM_MARK_VOIDED] = "wish voided by the pivot",
    [SIM_MARK_RESOLUTION_VOIDED] = "resolution voided by the pivot",
    [SIM_MARK_SAGA_DEADLINE] = "saga's deadline",
    [SIM_MARK_STEP_DEADLINE] = "step's deadline",
    [SIM_MARK_PARKED_DEBT] = "parked: debt",
    [SIM_MARK_PARKED_IN_DOUBT] = "parked: in doubt",
    [SIM_MARK_PARKED_CONTRACT] = "parked: contract broken",
    [SIM_MARK_PARKED_REJECTION] = "parked: rejection in doubt",
    [SIM_MARK_PARKED_UNRENDERED] = "parked: unrendered",
    [SIM_MARK_RESUMED_BY_REPLY] = "parked, resumed by a reply",
    [SIM_MARK_TURNED_REJECTED] = "backward: rejected",
    [SIM_MARK_TURNED_UNRESOLVED] = "backward: unresolved",
    [SIM_MARK_TURNED_FENCED] = "backward: fenced",
    [SIM_MARK_TURNED_NEVER_RAN] = "backward: never ran",
    [SIM_MARK_TURNED_CANCELLED] = "backward: cancelled",
    [SIM_MARK_TURNED_DEADLINE] = "backward: saga's deadline",
    [SIM_MARK_TURNED_RESOLVED] = "backward: resolved",
    [SIM_MARK_COMPLETED] = "completed",
    [SIM_MARK_COMPENSATED] = "compensated",
    [SIM_MARK_COMPLETED_MANUALLY] = "completed manually",
    [SIM_MARK_COMPENSATED_MANUALLY] = "compensated manually",
    [SIM_MARK_INCONSISTENT] = "inconsistent",
    [SIM_MARK_RELEASED] = "waiting attempts released early",
    [SIM_MARK_HEADER_ALONE] = "reply of a header alone",
    [SIM_MARK_NOT_FOUND] = "asked after a saga that is not there",
    [SIM_MARK_LISTED] = "page of the list compared",
    [SIM_MARK_COUNTED] = "counters compared",
    [SIM_MARK_COUNTED_PARKED] = "counters compared, while sagas were parked",
    [SIM_MARK_LATER_WINS] = "command after two results that name one member",
    [SIM_MARK_NEW_VERSION] = "several versions of one definition",
    [SIM_MARK_SHADOWED] = "live and replayed state compared",
    [SIM_MARK_TOLD] = "told of an end",
    [SIM_MARK_TOLD_AGAIN] = "told of an end once more",
    [SIM_MARK_TOLD_ANOTHER] = "told of an end, who asked later",
    [SIM_MARK_TOLD_MARKED] = "ends marked as told",
    [SIM_MARK_SAGA_GONE] = "ended saga gone",
    [SIM_MARK_RECORD_DROPPED] = "record gone with its block",
    [SIM_MARK_RECORD_KEPT] = "record kept when its block went",
    [SIM_MARK_START_PURGED] = "start with the key of a saga that is gone",
    [SIM_MARK_KEY_REUSED] = "key used again, since it was forgotten",
    [SIM_MARK_TWICE] = "seed run twice",
};

void sim_mark(enum sim_mark mark) {
    sim_marks->marks[mark]++;
}

void sim_mark_fault(unsigned fault) {
    sim_marks->faults[fault]++;
}

void sim_mark_move(unsigned move, unsigned state) {
    sim_marks->moves[move - 1][state - 1]++;
}

void sim_mark_kill(unsigned kind, unsigned place) {
    sim_marks->kills[kind][place]++;
}

void sim_marks_add(struct sim_marks *sum, const struct sim_marks *more) {
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
        to[i] += from[i];
    }
}

/* ----------------------------------------------------------------- printing */

static bool line(const char *name, const char *more, uint64_t count, uint64_t least) {
    bool enough = count >= least;
    printf("%12" PRIu64 "  %s%s%s\n", count, name, more, enough ? "" : "   <-- too seldom");
    return enough;
}

/* A batch has no failpoint of its own where nothing of the kind is appended or sent: an
 * epoch's start answers nobody, so nothing leaves "after send" but what is sent again. */
static bool print_kills(const struct sim_marks *marks, uint64_t least) {
    static const char *const kinds[] = {"?",     "start",        "command",
                                        "reply", "compensation", "recovery"};
    static const char *const places[] = {"?", ", before append", ", after append", ", after commit",
                                         ", after send"};
    bool enough = true;
    printf("killed at\n");
    for (int kind = 1; kind <= SAGA_FAILPOINT_KIND_COUNT; kind++) {
        for (int place = 1; place <= SAGA_FAILPOINT_PLACE_COUNT; place++) {
            enough &= line(kinds[kind], places[place], marks->kills[kind][place], least);
        }
    }
    return enough;
}

static bool print_moves(const struct sim_marks *marks, uint64_t least) {
    bool enough = true;
    printf("transitions\n");
    for (int move = 1; move <= SIM_MOVE_COUNT; move++) {
        for (int state = 1; state <= SIM_STATE_COUNT; state++) {
            char text[64];
            uint64_t count = marks->moves[move - 1][state - 1];
            if (sim_rule((enum sim_move)move, (enum sim_state)state) == 0) {
                continue;
            }
            bool met = sim_rule_is_met((enum sim_move)move, (enum sim_state)state);
            (void)snprintf(text, sizeof text, " from %s%s", sim_state_names[state],
                           met ? "" : " (contract broken)");
            enough &= line(sim_move_names[move], text, count, met ? least : 0);
        }
    }
    return enough;
}

bool sim_marks_print(const struct sim_marks *marks, uint64_t least) {
    bool enough = print_moves(marks, least);
    printf("faults\n");
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        enough &= line(sim_fault_names[i], "", marks->faults[i], least);
    }
    enough &= print_kills(marks, least);
    printf("also\n");
    for (int i = 0; i < SIM_MARK_COUNT; i++) {
        enough &= line(names[i], "", marks->marks[i], least);
    }
    return enough;
}
