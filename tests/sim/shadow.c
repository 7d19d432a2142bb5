#include "shadow.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "definitions.h"
#include "ids.h"
#include "marks.h"
#include "swarm.h"
#include "trace.h"

#define DEFINITIONS_MAX 32

struct saga_coordinator *__real_saga_coordinator_init(void *memory,
                                                      const struct saga_limits *limits);

static const struct saga_limits limits = {
    .sagas_max = 256, .plans_max = DEFINITIONS_MAX, .participants_max = 64, .resend_per_second = 1};

static struct saga_coordinator *shadow; /* NULL: not in this seed */
static void *memory;
static struct saga_definition *definitions[DEFINITIONS_MAX];
static unsigned definition_count;

void sim_shadow_begin(void) {
    shadow = NULL;
    if (!sim_swarm.shadow) {
        return;
    }
    if (memory == NULL) {
        memory = mmap(NULL, saga_coordinator_size(&limits), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert(memory != MAP_FAILED);
    } else { /* zero again */
        int status = madvise(memory, saga_coordinator_size(&limits), MADV_DONTNEED);
        assert(status == 0);
    }
    shadow = __real_saga_coordinator_init(memory, &limits);
}

void sim_shadow_end(void) {
    for (; definition_count > 0; definition_count--) {
        sim_definition_free(definitions[definition_count - 1]);
    }
    shadow = NULL;
}

static void define(const struct saga_record *record) {
    assert(definition_count < DEFINITIONS_MAX);
    struct saga_definition *definition =
        sim_definition_parse(record->payload.data, record->payload.size);
    if (definition == NULL) {
        sim_violation("D4", "the definition at record %llu cannot be read back",
                      (unsigned long long)record->lsn);
    }
    definition->plan.definition_lsn = record->lsn;
    definitions[definition_count++] = definition;
    if (!saga_coordinator_define(shadow, &definition->plan)) {
        sim_violation("D1", "the shadow has no room for a definition");
    }
}

void sim_shadow_follow(const struct saga_record *record) {
    if (shadow == NULL) {
        return;
    }
    if (record->fact == SAGA_DEFINITION_LOADED) {
        define(record);
    }
    enum saga_replay result = saga_coordinator_replay(shadow, record);
    bool late = result == SAGA_REPLAY_NO_SAGA && record->fact == SAGA_LATE_REPLY_RECEIVED;
    if (result != SAGA_REPLAYED && !late) {
        sim_violation("D1", "record %llu (%s) cannot be replayed: %d",
                      (unsigned long long)record->lsn, saga_fact_name(record->fact), result);
    }
}

void sim_shadow_compare(const struct saga_coordinator *live) {
    uint32_t cursor = 0;
    const struct saga_plan *plan;
    const struct saga *saga;
    if (shadow == NULL || live == NULL) {
        return;
    }
    sim_mark(SIM_MARK_SHADOWED);
    while ((saga = saga_coordinator_next(live, &cursor, &plan)) != NULL) {
        const struct saga *replayed = saga_coordinator_find(shadow, &saga->id, &plan);
        if (replayed == NULL || memcmp(saga, replayed, saga_size(saga->step_count)) != 0) {
            char id[SAGA_ID_TEXT_SIZE];
            sim_violation("D1", "saga %s, live, is not what its records are folded to",
                          saga_id_text(&saga->id, id));
        }
    }
    if (saga_coordinator_counters(live)->open != saga_coordinator_counters(shadow)->open) {
        sim_violation("D1", "%llu sagas are open, by the records %llu",
                      (unsigned long long)saga_coordinator_counters(live)->open,
                      (unsigned long long)saga_coordinator_counters(shadow)->open);
    }
}

void sim_shadow_settled(const struct saga_coordinator *live) {
    uint32_t cursor = 0;
    const struct saga_plan *plan;
    const struct saga *saga;
    while ((saga = saga_coordinator_next(live, &cursor, &plan)) != NULL) {
        if (!saga_settled(saga, plan)) {
            char id[SAGA_ID_TEXT_SIZE];
            sim_violation("D3", "saga %s is recovered, and more follows from it by itself",
                          saga_id_text(&saga->id, id));
        }
    }
}
