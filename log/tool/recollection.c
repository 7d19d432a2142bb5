#include "recollection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Open sagas at a time that are tried first, and how many more in the next
 * try. The memory is mapped, not reserved, but some systems count it. */
#define SAGAS_FIRST  (1u << 17)
#define SAGAS_FACTOR 8
#define SAGAS_MOST   (1u << 29)

static void note_problem(void *context, const struct saga_id *id, const char *why) {
    struct saga_recollection *recollection = context;
    if (recollection->problem_count == recollection->problem_room) {
        const size_t room = recollection->problem_room == 0 ? 16 : 2 * recollection->problem_room;
        struct saga_problem *grown = reallocarray(recollection->problems, room, sizeof *grown);
        if (grown == NULL) {
            recollection->forgetful = true;
            return;
        }
        recollection->problems = grown;
        recollection->problem_room = room;
    }
    struct saga_problem *problem = &recollection->problems[recollection->problem_count++];
    problem->id = *id;
    (void)snprintf(problem->why, sizeof problem->why, "%s", why);
}

static enum saga_error recall(struct saga_recollection *recollection, uint32_t sagas_max,
                              struct saga_fault *fault) {
    const struct saga_recall_options options = {
        .limits =
            {
                .sagas_max = sagas_max,
                .plans_max = 1u << 16,
                .participants_max = UINT16_MAX - 1,
                .resend_per_second = 1, /* nothing is sent */
            },
        .quarantined = note_problem,
        .context = recollection,
    };
    recollection->problem_count = 0;
    recollection->forgetful = false;
    return saga_recall_open(&recollection->recall, recollection->reader, &options, fault);
}

enum saga_error saga_recollection_open(struct saga_recollection *recollection, struct saga_log *log,
                                       struct saga_fault *fault) {
    *recollection = (struct saga_recollection){0};
    enum saga_error error = saga_log_reader_open(log, &recollection->reader, fault);
    if (error != SAGA_OK) {
        recollection->reader = NULL;
        return error;
    }
    error = SAGA_ERROR_FULL;
    for (uint32_t most = SAGAS_FIRST; error == SAGA_ERROR_FULL && most < SAGAS_MOST;
         most *= SAGAS_FACTOR) {
        error = recall(recollection, most, fault);
    }
    if (error == SAGA_OK && recollection->forgetful) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for what is wrong in this log");
    }
    return error == SAGA_ERROR_FULL
               ? saga_fault_set(fault, SAGA_ERROR_FAILED,
                                "this log has more open sagas than sagalog can hold")
               : error;
}

void saga_recollection_close(struct saga_recollection *recollection) {
    saga_recall_close(recollection->recall);
    if (recollection->reader != NULL) {
        saga_log_reader_close(recollection->reader);
    }
    free(recollection->problems);
    *recollection = (struct saga_recollection){0};
}

const char *saga_recollection_problem(const struct saga_recollection *recollection,
                                      const struct saga_id *id) {
    for (size_t i = 0; i < recollection->problem_count; i++) {
        if (memcmp(recollection->problems[i].id.bytes, id->bytes, sizeof id->bytes) == 0) {
            return recollection->problems[i].why;
        }
    }
    return NULL;
}

uint64_t saga_recollection_quarantined(const struct saga_recollection *recollection) {
    const struct saga_roster *roster = recollection->recall->roster;
    uint64_t count = 0;
    for (const struct saga_roster_entry *entry = saga_roster_newest(roster); entry != NULL;
         entry = entry->older) {
        count += strcmp(entry->status, "quarantined") == 0;
    }
    return count;
}

enum saga_error saga_recollection_walk(const struct saga_recollection *recollection,
                                       struct saga_census *census, struct saga_fault *fault) {
    return saga_census_begin(census, recollection->recall->roster, recollection->reader, NULL, NULL,
                             fault);
}
