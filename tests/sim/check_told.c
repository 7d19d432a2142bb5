/* Who asked of an end: told what is durable, and not left without a word. */
#include <inttypes.h>
#include <string.h>

#include "check_state.h"
#include "daemon.h"
#include "marks.h"

static uint64_t marked_lsn; /* the log says that everybody was told up to here */

void check_told_begin(void) {
    marked_lsn = 0;
}

static bool is_asker(const struct check_saga *saga, struct saga_bytes asker) {
    return asker.size == strlen(saga->asker) && memcmp(asker.data, saga->asker, asker.size) == 0;
}

void check_told_start(struct check_saga *saga, const struct saga_record *record) {
    if (record->content.size >= sizeof saga->asker) {
        sim_violation("N3", "record %" PRIu64 " has an asker whom nobody named", record->lsn);
    }
    if (record->content.size > 0) {
        memcpy(saga->asker, record->content.data, record->content.size);
    }
    saga->asker[record->content.size] = '\0';
    if (saga->asker[0] != '\0' && strcmp(saga->asker + 2, saga->key) != 0) {
        sim_violation("N3", "%s: its asker is that of another saga, '%s'",
                      check_text(saga, SAGA_STEP_NONE), saga->asker);
    }
}

void check_told_mark(const struct saga_record *record) {
    if (record->through_lsn <= marked_lsn || record->through_lsn >= record->lsn) {
        sim_violation("N2", "record %" PRIu64 ": ends are marked as told up to %" PRIu64,
                      record->lsn, record->through_lsn);
    }
    for (unsigned i = 0; i < check_saga_count; i++) {
        const struct check_saga *saga = &check_sagas[i];
        if (saga->asker[0] != '\0' && saga->ended_lsn != 0 &&
            saga->ended_lsn <= record->through_lsn && saga->ended_lsn > marked_lsn &&
            !saga->is_confirmed) {
            sim_violation("N2", "%s: its end is marked as told, and is not",
                          check_text(saga, SAGA_STEP_NONE));
        }
    }
    marked_lsn = record->through_lsn;
    sim_mark(SIM_MARK_TOLD_MARKED);
}

void sim_check_told(const struct saga_id *id, const char *status, struct saga_bytes asker) {
    const struct check_saga *saga = check_find(id);
    if (saga == NULL || saga->outcome == 0) {
        sim_violation("N3", "an end is told that is not durable");
    }
    if (strcmp(status, saga_outcome_name(saga->outcome)) != 0) {
        sim_violation("N3", "%s: its end is told as %s", check_text(saga, SAGA_STEP_NONE), status);
    }
    if (asker.size < 3 || asker.size - 2 != strlen(saga->key) ||
        memcmp((const char *)asker.data + 2, saga->key, asker.size - 2) != 0) {
        sim_violation("N3", "%s: its end is told to '%.*s'", check_text(saga, SAGA_STEP_NONE),
                      (int)asker.size, (const char *)asker.data);
    }
    if (saga->ended_lsn <= marked_lsn) {
        sim_violation("N4", "%s: its end is told again, and the log says that it was",
                      check_text(saga, SAGA_STEP_NONE));
    }
    if (is_asker(saga, asker) && saga->told_life == sim_daemon_life() && saga->is_confirmed) {
        sim_violation("N4", "%s: its end is told again to who has heard it",
                      check_text(saga, SAGA_STEP_NONE));
    }
}

void sim_check_heard(const struct saga_id *id, struct saga_bytes asker) {
    struct check_saga *saga = check_find(id);
    if (is_asker(saga, asker)) {
        sim_mark(saga->is_heard ? SIM_MARK_TOLD_AGAIN : SIM_MARK_TOLD);
        saga->is_heard = true;
    } else {
        sim_mark(SIM_MARK_TOLD_ANOTHER);
    }
}

void sim_check_confirmed(const struct saga_id *id, struct saga_bytes asker) {
    struct check_saga *saga = check_find(id);
    if (is_asker(saga, asker)) {
        saga->is_confirmed = true;
        saga->told_life = sim_daemon_life();
    }
}

/* They will be told, or should have been. */
unsigned sim_check_unheard(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < check_saga_count; i++) {
        const struct check_saga *saga = &check_sagas[i];
        count += saga->asker[0] != '\0' && saga->outcome != 0 && !saga->is_heard;
    }
    return count;
}

void check_all_told(void) {
    for (unsigned i = 0; i < check_saga_count; i++) {
        const struct check_saga *saga = &check_sagas[i];
        if (saga->asker[0] != '\0' && saga->outcome != 0 && !saga->is_heard) {
            sim_violation("N1", "%s has ended, and '%s' was never told",
                          check_text(saga, SAGA_STEP_NONE), saga->asker);
        }
    }
}
