#include "room.h"

#include "render.h"

/* A record's own fields, as encoded; a block's head and one offset; LMDB's node, key included, and
 * what the tree above has of it. */
#define FIELD_BYTES 128
#define BLOCK_BYTES 26
#define NODE_BYTES  32
/* Of what is larger LMDB makes pages of their own. */
#define INLINE_BYTES 2000
#define PAGE_BYTES   4096
/* LMDB's head of a page. */
#define PAGE_HEAD_BYTES 16

/* Cancel, turn, pivot, parking, the operator who ends that, the end. */
#define SAGA_RECORDS 6
/* Rows, key and checksum included, as tables.h has them; a row of `open` has more for each step. */
#define OPEN_BYTES      (16 + 8 + 56)
#define OPEN_STEP_BYTES 40
#define DONE_BYTES      (17 + 8 + 40)
#define OWED_BYTES      (8 + 8 + 32)
/* In a run, and its share of the filter. */
#define KEY_BYTES 48

/* Copies: so many commits until a page can be used again; and what one of them touches. */
#define COPIES             3
#define COPIED_PAGES_MAX   96
#define COPIED_PAGES_FIXED 12

/* A row, where its key wants it: pages may be half empty. */
static uint64_t spread(uint64_t bytes) {
    return (bytes + NODE_BYTES) * 9 / 4;
}

/* A block, at the end: a page is left once there is no room for one more like it. A page in two
 * hundred is of the tree above. */
static uint64_t packed(uint64_t bytes) {
    const uint64_t each = PAGE_BYTES / ((PAGE_BYTES - PAGE_HEAD_BYTES) / (bytes + NODE_BYTES));
    return each + each / 100 + 1;
}

struct saga_room_need saga_room_of_record(uint64_t bytes) {
    const uint64_t block = BLOCK_BYTES + FIELD_BYTES + bytes;
    const uint64_t pages = (block + PAGE_HEAD_BYTES + PAGE_BYTES - 1) / PAGE_BYTES;
    const uint64_t taken = pages * PAGE_BYTES + spread(0);
    if (block <= INLINE_BYTES) {
        return (struct saga_room_need){.bytes = packed(block)};
    }
    const uint64_t in_rows = pages > 1 ? taken : 0;
    return (struct saga_room_need){.bytes = taken, .in_rows = in_rows, .largest = in_rows};
}

static void add(struct saga_room_need *need, uint64_t count, struct saga_room_need more) {
    need->bytes += count * more.bytes;
    need->in_rows += count * more.in_rows;
    need->largest = more.largest > need->largest ? more.largest : need->largest;
}

/* ---------------------------------------------------------------- commands */

static uint32_t attempts(const struct saga_budget *budget, bool without_end, uint32_t spent) {
    const uint32_t most =
        without_end || budget->attempts_max == 0 ? SAGA_ROOM_ATTEMPTS : budget->attempts_max;
    return most > spent ? most - spent : 1;
}

/* The answers of a command that was issued. */
static void add_answers(struct saga_room_need *need, uint32_t count) {
    add(need, count, saga_room_of_record(SAGA_ROOM_WORD_BYTES));
    add(need, 1, saga_room_of_record(SAGA_ROOM_REPLY_BYTES));
}

static void add_command(struct saga_room_need *need, uint64_t body_bytes, uint32_t count) {
    add(need, 1, saga_room_of_record(body_bytes));
    add_answers(need, count);
}

static uint32_t action_attempts(const struct saga_plan_step *planned, uint32_t spent) {
    return attempts(&planned->action, planned->fenced && planned->position == SAGA_AFTER_PIVOT,
                    spent);
}

static const struct saga_budget *undo_budget(const struct saga_plan *plan,
                                             const struct saga_plan_step *planned) {
    return planned->undo == SAGA_UNDO_BY_STEP ? &plan->steps[planned->compensated_by].compensation
                                              : &planned->compensation;
}

/* Whoever keeps no fence may say no to a duplicate, and yes to the first. */
static void add_second_word(struct saga_room_need *need, const struct saga_plan_step *planned) {
    add(need, planned->fenced ? 0 : 1, saga_room_of_record(SAGA_ROOM_REPLY_BYTES));
}

static void add_fence(struct saga_room_need *need, const struct saga_plan_step *planned,
                      uint64_t body_bytes) {
    if (planned->fenced && planned->position != SAGA_AFTER_PIVOT) {
        add_command(need, body_bytes, attempts(&planned->action, false, 0));
    }
}

static void add_undo(struct saga_room_need *need, const struct saga_plan *plan,
                     const struct saga_plan_step *planned, uint64_t body_bytes) {
    if (planned->undo != SAGA_UNDO_NOTHING && planned->position == SAGA_BEFORE_PIVOT) {
        add_command(need, body_bytes, attempts(undo_budget(plan, planned), false, 0));
    }
}

/* ------------------------------------------------------------------- steps */

static void add_pending(struct saga_room_need *need, const struct saga_plan *plan,
                        const struct saga_plan_step *planned, uint64_t body_bytes) {
    add_command(need, body_bytes, action_attempts(planned, 0));
    add_second_word(need, planned);
    add_fence(need, planned, body_bytes);
    add_undo(need, plan, planned, body_bytes);
}

/* Words about what was given up, of its action and of its fence: they may still come, and count. */
static void add_late_words(struct saga_room_need *need, const struct saga_step *step) {
    const uint32_t said = SAGA_STEP_SAID_DONE | SAGA_STEP_SAID_REJECTED | SAGA_STEP_SAID_FENCED;
    const bool asked = (step->flags & SAGA_STEP_FENCE_SENT) != 0;
    if ((step->flags & said) == 0) {
        add(need, asked && step->phase != SAGA_STEP_FENCING ? 2 : 1,
            saga_room_of_record(SAGA_ROOM_REPLY_BYTES));
    }
}

/* What is under way, and what may follow. */
static void add_step(struct saga_room_need *need, const struct saga_plan *plan,
                     const struct saga *saga, uint8_t index, uint64_t body_bytes) {
    const struct saga_plan_step *planned = &plan->steps[index];
    const struct saga_step *step = &saga->steps[index];
    switch ((enum saga_phase)step->phase) {
    case SAGA_STEP_PENDING:
        if (saga->direction == SAGA_FORWARD) {
            add_pending(need, plan, planned, body_bytes);
        }
        break;
    case SAGA_STEP_RUNNING:
        add_answers(need, action_attempts(planned, step->spent));
        add_second_word(need, planned);
        add_fence(need, planned, body_bytes);
        add_undo(need, plan, planned, body_bytes);
        break;
    case SAGA_STEP_FENCING:
        add_late_words(need, step);
        add_answers(need, attempts(&planned->action, false, step->spent));
        add_undo(need, plan, planned, body_bytes);
        break;
    case SAGA_STEP_UNKNOWN:
        if ((step->flags & SAGA_STEP_FENCE_SENT) == 0) {
            add_fence(need, planned, body_bytes);
        }
        add_late_words(need, step);
        add_second_word(need, planned);
        add_undo(need, plan, planned, body_bytes);
        break;
    case SAGA_STEP_DISCLAIMED:
        add_second_word(need, planned);
        add_undo(need, plan, planned, body_bytes);
        break;
    case SAGA_STEP_NEVER_RAN:
    case SAGA_STEP_DONE:
    case SAGA_STEP_REJECTED:
    case SAGA_STEP_FENCED:
        add_undo(need, plan, planned, body_bytes);
        break;
    case SAGA_STEP_CLOSING:
    case SAGA_STEP_COMPENSATING:
        add_late_words(need, step);
        add_answers(need, attempts(undo_budget(plan, planned), false, step->spent));
        break;
    case SAGA_STEP_DEBT: /* tried again, or settled */
        add_command(need, body_bytes, SAGA_ROOM_ATTEMPTS);
        break;
    case SAGA_STEP_SETTLING:
        add_answers(need, attempts(undo_budget(plan, planned), true, step->spent));
        break;
    case SAGA_STEP_COMPENSATED:
    case SAGA_STEP_SETTLED:
        break;
    }
}

/* A step whose reply may still bring something. */
static bool may_bring(const struct saga *saga, const struct saga_step *step) {
    switch ((enum saga_phase)step->phase) {
    case SAGA_STEP_PENDING:
        return saga->direction == SAGA_FORWARD;
    case SAGA_STEP_RUNNING:
    case SAGA_STEP_FENCING:
    case SAGA_STEP_UNKNOWN:
    case SAGA_STEP_DISCLAIMED:
    case SAGA_STEP_CLOSING:
        return true;
    case SAGA_STEP_DONE:
    case SAGA_STEP_REJECTED:
    case SAGA_STEP_FENCED:
    case SAGA_STEP_NEVER_RAN:
    case SAGA_STEP_COMPENSATING:
    case SAGA_STEP_COMPENSATED:
    case SAGA_STEP_DEBT:
    case SAGA_STEP_SETTLING:
    case SAGA_STEP_SETTLED:
        break;
    }
    return false;
}

static uint64_t grown(uint64_t body_bytes, uint32_t replies) {
    const uint64_t bytes = body_bytes + (uint64_t)replies * SAGA_ROOM_REPLY_BYTES;
    return bytes < SAGA_RENDER_BYTES_MAX ? bytes : SAGA_RENDER_BYTES_MAX;
}

/* ------------------------------------------------------------------- sagas */

/* Of the saga's own records those that are still to come. */
static uint32_t own_records(const struct saga *saga) {
    const bool forward = saga->direction == SAGA_FORWARD;
    uint32_t records = SAGA_RECORDS;
    records -= forward && saga->wish == 0 ? 0 : 1; /* cancel */
    records -= forward ? 0 : 1;                    /* turn */
    records -= saga->pivot_passed != 0 ? 1 : 0;
    records -= saga->parked != 0 ? 1 : 0;
    return records;
}

static void add_own(struct saga_room_need *need, const struct saga_plan *plan, uint32_t records) {
    add(need, records, saga_room_of_record(0));
    need->bytes += spread(OPEN_BYTES + (uint64_t)plan->step_count * OPEN_STEP_BYTES) +
                   spread(DONE_BYTES) + spread(OWED_BYTES) + 2 * spread(KEY_BYTES);
}

struct saga_room_need saga_room_of_start(const struct saga_plan *plan, uint32_t key_bytes,
                                         uint32_t input_bytes) {
    struct saga_room_need need = saga_room_of_record((uint64_t)key_bytes + input_bytes);
    const uint64_t body_bytes = grown(input_bytes, plan->step_count);
    for (uint8_t i = 0; i < plan->step_count; i++) {
        add_pending(&need, plan, &plan->steps[i], body_bytes);
    }
    add_own(&need, plan, SAGA_RECORDS);
    return need;
}

struct saga_room_need saga_room_of_saga(const struct saga_plan *plan, const struct saga *saga,
                                        uint32_t body_bytes) {
    struct saga_room_need need = {0};
    uint32_t replies = 0;
    for (uint8_t i = 0; i < saga->step_count; i++) {
        replies += may_bring(saga, &saga->steps[i]);
    }
    const uint64_t most = grown(body_bytes, replies);
    for (uint8_t i = 0; i < saga->step_count; i++) {
        add_step(&need, plan, saga, i, most);
    }
    add_own(&need, plan, own_records(saga));
    return need;
}

uint32_t saga_room_body(uint32_t body_bytes, const struct saga_record *record) {
    if (record->fact == SAGA_STARTED || record->fact == SAGA_COMMAND_ISSUED) {
        return record->payload.size;
    }
    const bool brings = record->fact == SAGA_REPLY_RECEIVED && record->verdict == SAGA_DONE &&
                        (record->operation == SAGA_ACTION || record->operation == SAGA_FENCE);
    const uint64_t more = brings                                ? record->payload.size
                          : record->fact == SAGA_OPERATOR_ACTED ? record->content.size
                                                                : 0;
    const uint64_t bytes = body_bytes + more;
    return bytes < SAGA_RENDER_BYTES_MAX ? (uint32_t)bytes : SAGA_RENDER_BYTES_MAX;
}

/* ---------------------------------------------------------------- the room */

void saga_room_set(struct saga_room *room, struct saga_roster_entry *entry,
                   const struct saga_plan *plan, const struct saga *saga) {
    struct saga_room_need need = {0};
    if (saga != NULL) {
        need = saga_room_of_saga(plan, saga, entry->body_bytes);
    }
    room->needed.bytes += need.bytes - entry->room_bytes;
    room->needed.in_rows += need.in_rows - entry->room_in_rows;
    if (need.largest > room->needed.largest) {
        room->needed.largest = need.largest;
    } else if (room->needed.in_rows == 0) {
        room->needed.largest = 0;
    }
    entry->room_bytes = need.bytes;
    entry->room_in_rows = need.in_rows;
}

static uint64_t copies(const struct saga_log_room *log) {
    const uint64_t most = (uint64_t)COPIED_PAGES_MAX * PAGE_BYTES;
    const uint64_t copied = log->copied < most ? log->copied : most;
    return COPIES * (copied + (uint64_t)COPIED_PAGES_FIXED * PAGE_BYTES);
}

uint64_t saga_room_needed(const struct saga_room *room, const struct saga_log_room *log,
                          const struct saga_room_rows *rows) {
    return room->needed.bytes + copies(log) +
           rows->ended * (spread(DONE_BYTES) + spread(OWED_BYTES)) +
           rows->keys_in_memory * spread(KEY_BYTES) + rows->keys_in_runs * KEY_BYTES;
}

bool saga_room_fits(const struct saga_room *room, const struct saga_log_room *log,
                    const struct saga_room_rows *rows, const struct saga_room_need *more,
                    uint64_t free_in_rows) {
    const uint64_t batch = log->batch_bytes * 9 / 4;
    const uint64_t taken = log->bytes - log->batch_bytes + batch;
    return taken + saga_room_needed(room, log, rows) + more->bytes <= log->bytes_max &&
           log->file_bytes + batch + room->needed.in_rows + more->in_rows <=
               log->bytes_max + free_in_rows / 2;
}
