#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "definition.h"
#include "input.h"
#include "terminal.h"

/* One file: what it defines, or what is wrong with it. Errors: those of reading
 * it, INVALID. */
static enum saga_error validate(const char *file, struct saga_definition **definition,
                                struct saga_diagnostics *diagnostics, struct saga_fault *fault) {
    char *text;
    size_t size;
    enum saga_error error = saga_input_read(file, SAGA_DEFINITION_BYTES_MAX, &text, &size, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = saga_definition_parse(text, size, definition, diagnostics);
    free(text);
    return error;
}

static json_t *json_of(const char *file, const struct saga_definition *definition,
                       const struct saga_diagnostics *diagnostics, const char *unread) {
    json_t *errors = json_array();
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct saga_diagnostic *item = &diagnostics->items[i];
        (void)json_array_append_new(
            errors, json_pack("{s:i, s:i, s:s, s:s?}", "line", (int)item->line, "column",
                              (int)item->column, "message", item->message, "hint", item->hint));
    }
    if (unread != NULL) {
        (void)json_array_append_new(errors, json_pack("{s:s}", "message", unread));
    }
    return json_pack("{s:s, s:b, s:s?, s:o, s:o}", "file", file, "valid", definition != NULL,
                     "saga", definition != NULL ? definition->name : NULL, "version",
                     definition != NULL ? json_integer(definition->version) : json_null(), "errors",
                     errors);
}

static void tell(const char *file, const struct saga_definition *definition,
                 const struct saga_diagnostics *diagnostics, const struct saga_fault *fault) {
    if (definition != NULL) {
        (void)printf("%s: valid: saga %s, version %u, %u steps\n", file, definition->name,
                     definition->version, definition->plan.step_count);
    } else if (diagnostics->count > 0) {
        char *text = saga_diagnostics_text(diagnostics, file);
        (void)fflush(stdout);
        (void)fputs(text != NULL ? text : "no memory\n", stderr);
        free(text);
    } else {
        (void)saga_complain(fault);
    }
}

int saga_command_validate(const struct saga_order *order) {
    int status = 0;
    json_t *files = json_array();
    for (char **file = order->files; *file != NULL; file++) {
        struct saga_definition *definition = NULL;
        struct saga_diagnostics diagnostics = {0};
        struct saga_fault fault = {.error = SAGA_OK};
        const enum saga_error error = validate(*file, &definition, &diagnostics, &fault);
        if (error != SAGA_OK && status == 0) {
            status = saga_error_exit_status(error);
        }
        if (order->json) {
            (void)json_array_append_new(files, json_of(*file, definition, &diagnostics,
                                                       fault.error != SAGA_OK ? fault.text : NULL));
        } else {
            tell(*file, definition, &diagnostics, &fault);
        }
        saga_diagnostics_free(&diagnostics);
        saga_definition_free(definition);
    }
    if (order->json) {
        saga_terminal_json(json_pack("{s:o}", "files", files));
    } else {
        json_decref(files);
    }
    return status;
}
