#include "canonical.h"

#include "duration.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* A JSON text under construction. */
struct writer {
    FILE *out;
    bool comma; /* the next key or element comes after another one */
};

static void open_with(struct writer *writer, char bracket) {
    (void)fputc(bracket, writer->out);
    writer->comma = false;
}

static void close_with(struct writer *writer, char bracket) {
    (void)fputc(bracket, writer->out);
    writer->comma = true;
}

/* Every text of a definition is printable ASCII: the reader saw to that. */
static void write_text(struct writer *writer, const char *text) {
    (void)fputc('"', writer->out);
    for (; *text != '\0'; text++) {
        assert(*text >= 0x20 && *text < 0x7f);
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', writer->out);
        }
        (void)fputc(*text, writer->out);
    }
    (void)fputc('"', writer->out);
    writer->comma = true;
}

static void separate(struct writer *writer) {
    if (writer->comma) {
        (void)fputc(',', writer->out);
    }
}

static void write_key(struct writer *writer, const char *key) {
    separate(writer);
    write_text(writer, key);
    (void)fputc(':', writer->out);
    writer->comma = false;
}

static void write_text_at(struct writer *writer, const char *key, const char *text) {
    write_key(writer, key);
    write_text(writer, text);
}

static void write_true_at(struct writer *writer, const char *key, bool value) {
    write_key(writer, key);
    (void)fputs(value ? "true" : "false", writer->out);
    writer->comma = true;
}

static void write_duration_at(struct writer *writer, const char *key, int64_t ms) {
    char text[SAGA_DURATION_BYTES] = "none";
    if (ms != 0) {
        saga_duration_format(ms, text);
    }
    write_text_at(writer, key, text);
}

/* A decimal number without the zeros at its end. */
static void write_milli_at(struct writer *writer, const char *key, uint32_t milli) {
    char text[16];
    int length = snprintf(text, sizeof text, "%u.%03u", milli / 1000, milli % 1000);
    while (text[length - 1] == '0') {
        length--;
    }
    if (text[length - 1] == '.') {
        length--;
    }
    write_key(writer, key);
    (void)fprintf(writer->out, "%.*s", length, text);
    writer->comma = true;
}

static void write_events_at(struct writer *writer, const char *key, const char *const *events) {
    write_key(writer, key);
    open_with(writer, '[');
    for (; *events != NULL; events++) {
        separate(writer);
        write_text(writer, *events);
    }
    close_with(writer, ']');
}

static void write_retry_at(struct writer *writer, const char *key,
                           const struct saga_budget *budget) {
    write_key(writer, key);
    open_with(writer, '{');
    write_key(writer, "attempts");
    if (budget->attempts_max == 0) {
        write_text(writer, "unlimited");
    } else {
        (void)fprintf(writer->out, "%u", budget->attempts_max);
        writer->comma = true;
    }
    write_duration_at(writer, "initial", budget->initial_ms);
    write_duration_at(writer, "max", budget->max_ms);
    write_milli_at(writer, "factor", budget->factor_milli);
    close_with(writer, '}');
}

static void write_command(struct writer *writer, const struct saga_draft_command *command) {
    write_text_at(writer, "command", command->name);
    write_events_at(writer, "done", command->done);
    write_events_at(writer, "rejected", command->rejected);
}

static void write_undo(struct writer *writer, const struct saga_draft *draft,
                       const struct saga_draft_step *step) {
    switch ((enum saga_undo)step->plan.undo) {
    case SAGA_UNDO_COMPENSATION:
        write_key(writer, "compensation");
        open_with(writer, '{');
        write_command(writer, &step->compensation);
        write_duration_at(writer, "timeout", step->plan.compensation.timeout_ms);
        write_duration_at(writer, "deadline", step->plan.compensation.deadline_ms);
        write_retry_at(writer, "retry", &step->plan.compensation);
        close_with(writer, '}');
        break;
    case SAGA_UNDO_BY_STEP:
        write_text_at(writer, "compensated_by", draft->steps[step->plan.compensated_by].name);
        break;
    case SAGA_UNDO_NOTHING:
        write_true_at(writer, "no_effect", step->no_effect);
        break;
    }
}

static void write_step(struct writer *writer, const struct saga_draft *draft,
                       const struct saga_draft_step *step) {
    open_with(writer, '{');
    write_text_at(writer, "name", step->name);
    write_command(writer, &step->action);
    write_undo(writer, draft, step);
    write_true_at(writer, "pivot", step->pivot);
    write_duration_at(writer, "timeout", step->plan.action.timeout_ms);
    /* After the pivot a step may not set a deadline, nor on_unknown: it has
     * them from `defaults`, which is written out. */
    if (step->plan.position != SAGA_AFTER_PIVOT || step->plan.action.deadline_ms == 0) {
        write_duration_at(writer, "deadline", step->plan.action.deadline_ms);
    }
    write_retry_at(writer, "retry", &step->plan.action);
    if (step->plan.position != SAGA_AFTER_PIVOT) {
        write_text_at(writer, "on_unknown", saga_on_unknown_names[step->plan.on_unknown - 1]);
    }
    close_with(writer, '}');
}

static void write_participants(struct writer *writer, const struct saga_draft *draft) {
    write_key(writer, "participants");
    open_with(writer, '{');
    for (uint16_t i = 0; i < draft->participant_count; i++) {
        const struct saga_definition_participant *participant = &draft->participants[i].declared;
        write_key(writer, participant->name);
        open_with(writer, '{');
        write_true_at(writer, "fenced", participant->fenced);
        write_true_at(writer, "single_delivery", participant->single_delivery);
        close_with(writer, '}');
    }
    close_with(writer, '}');
}

static void write_headers(struct writer *writer, const struct saga_draft *draft) {
    write_key(writer, "headers");
    open_with(writer, '{');
    for (size_t i = 0; draft->header_names[i] != NULL; i++) {
        write_text_at(writer, draft->header_names[i], draft->header_values[i]);
    }
    close_with(writer, '}');
}

static void write_definition(struct writer *writer, const struct saga_draft *draft) {
    open_with(writer, '{');
    write_text_at(writer, "saga", draft->name);
    write_key(writer, "version");
    (void)fprintf(writer->out, "%u", draft->version);
    writer->comma = true;
    if (draft->exchange != NULL) { /* no exchange of its own is something else than any name */
        write_text_at(writer, "exchange", draft->exchange);
    }
    write_duration_at(writer, "deadline", draft->deadline_ms);
    write_headers(writer, draft);
    write_participants(writer, draft);
    write_key(writer, "defaults");
    open_with(writer, '{');
    write_duration_at(writer, "timeout", draft->defaults.timeout_ms);
    write_duration_at(writer, "deadline", draft->defaults.deadline_ms);
    write_retry_at(writer, "retry", &draft->defaults);
    write_text_at(writer, "on_unknown", saga_on_unknown_names[draft->on_unknown - 1]);
    close_with(writer, '}');
    write_key(writer, "steps");
    open_with(writer, '[');
    for (uint8_t i = 0; i < draft->step_count; i++) {
        separate(writer);
        write_step(writer, draft, &draft->steps[i]);
    }
    close_with(writer, ']');
    close_with(writer, '}');
}

const char *saga_canonical_write(struct saga_arena *arena, const struct saga_draft *draft,
                                 size_t *size) {
    char *text = NULL;
    struct writer writer = {.out = open_memstream(&text, size)};
    assert(writer.out != NULL);
    write_definition(&writer, draft);
    int closed = fclose(writer.out); /* writes to memory: fails only without memory */
    assert(closed == 0);
    const char *copy = saga_arena_copy(arena, text, *size);
    free(text);
    return copy;
}

void saga_canonical_hash(const char *canonical, size_t size, char hash[33]) {
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(canonical, size));
    for (size_t i = 0; i < sizeof bytes.digest; i++) {
        (void)snprintf(hash + 2 * i, 3, "%02x", bytes.digest[i]);
    }
}
