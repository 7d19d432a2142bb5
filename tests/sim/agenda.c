#include "agenda.h"

#include <assert.h>
#include <stddef.h>

#define DEEDS_MAX 65536

struct entry {
    int64_t at_ms;
    uint64_t order;
    sim_deed *deed;
    void *context;
    uint64_t number;
};

static struct entry heap[DEEDS_MAX];
static size_t count;
static uint64_t entered;
static uint64_t done;
static int64_t now_ms;

void sim_agenda_begin(void) {
    count = 0;
    entered = 0;
    done = 0;
    now_ms = 0;
}

int64_t sim_now(void) {
    return now_ms;
}

uint64_t sim_agenda_count(void) {
    return done;
}

static bool before(const struct entry *a, const struct entry *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_agenda_add(int64_t at_ms, sim_deed *deed, void *context, uint64_t number) {
    assert(count < DEEDS_MAX);
    struct entry entry = {
        .at_ms = at_ms > now_ms ? at_ms : now_ms,
        .order = entered++,
        .deed = deed,
        .context = context,
        .number = number,
    };
    size_t place = count++;
    while (place > 0 && before(&entry, &heap[(place - 1) / 2])) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = entry;
}

static struct entry take_first(void) {
    struct entry first = heap[0];
    struct entry last = heap[--count];
    size_t place = 0;
    for (size_t child = 1; child < count; child = 2 * place + 1) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!before(&heap[child], &last)) {
            break;
        }
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = last;
    return first;
}

bool sim_agenda_step(void) {
    if (count == 0) {
        return false;
    }
    struct entry entry = take_first();
    now_ms = entry.at_ms;
    done++;
    entry.deed(entry.context, entry.number);
    return true;
}
