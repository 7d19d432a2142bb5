#include "payloads.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define INDENT 14

/* What the bytes are. */
static const char *kind_of(const struct saga_record *record) {
    switch ((enum saga_fact)record->fact) {
    case SAGA_STARTED:
        return "input";
    case SAGA_COMMAND_ISSUED:
        return "body";
    case SAGA_REPLY_RECEIVED:
    case SAGA_LATE_REPLY_RECEIVED:
        return "reply";
    default:
        return "payload";
    }
}

static void write_bytes(FILE *out, const char *kind, struct saga_bytes bytes,
                        const struct saga_record *record,
                        const struct saga_definition *definition) {
    if (bytes.size == 0) {
        return;
    }
    (void)fprintf(out, "%*s%s", INDENT, "", kind);
    if (definition != NULL && record->step < definition->plan.step_count) {
        const char *name = definition->steps[record->step].name;
        (void)fputs(" of ", out);
        saga_escape(out, name, strlen(name), SAGA_COLUMNS_ALL);
    }
    (void)fputs(": ", out);
    saga_escape(out, bytes.data, bytes.size, SAGA_COLUMNS_ALL);
    (void)fputc('\n', out);
}

static void copy(const struct saga_payloads *payloads, FILE *out) {
    if (payloads->size > 0) {
        (void)fwrite(payloads->text, 1, payloads->size, out);
    }
}

enum saga_error saga_payloads_add(struct saga_payloads *payloads, const struct saga_record *record,
                                  const struct saga_definition *definition,
                                  struct saga_fault *fault) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool whole = memory != NULL;
    if (whole) {
        copy(payloads, memory);
        write_bytes(memory, "start key",
                    record->fact == SAGA_STARTED ? record->key : (struct saga_bytes){0}, record,
                    definition);
        write_bytes(memory, kind_of(record), record->payload, record, definition);
        write_bytes(memory, "content", record->content, record, definition);
        whole = fclose(memory) == 0;
    }
    if (!whole) {
        free(text);
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a payload");
    }
    free(payloads->text);
    *payloads = (struct saga_payloads){.text = text, .size = size};
    return SAGA_OK;
}

void saga_payloads_print(struct saga_payloads *payloads, FILE *out) {
    copy(payloads, out);
    saga_payloads_fini(payloads);
}

void saga_payloads_fini(struct saga_payloads *payloads) {
    free(payloads->text);
    *payloads = (struct saga_payloads){0};
}
