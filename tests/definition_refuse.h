/*
 * What a definition that does not load is told, as one text to compare with.
 *
 * Threads: no state.
 */
#ifndef SAGA_DEFINITION_REFUSE_H
#define SAGA_DEFINITION_REFUSE_H

#include "definition.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The diagnostics, a line each: "line:column: message | hint". */
static inline char *said(const struct saga_diagnostics *diagnostics) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct saga_diagnostic *item = &diagnostics->items[i];
        (void)fprintf(out, "%s%u:%u: %s", i == 0 ? "" : "\n", item->line, item->column,
                      item->message);
        if (item->hint != NULL) {
            (void)fprintf(out, " | %s", item->hint);
        }
    }
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static inline void refuse_bytes(const char *text, size_t size, const char *expected) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    ck_assert_msg(saga_definition_parse(text, size, &definition, &diagnostics) ==
                      SAGA_ERROR_INVALID,
                  "loads, but should not:\n%.500s", text);
    ck_assert_ptr_null(definition);
    char *is = said(&diagnostics);
    ck_assert_msg(strcmp(is, expected) == 0, "expected:\n%s\nsaid:\n%s\nabout:\n%.500s", expected,
                  is, text);
    free(is);
    saga_diagnostics_free(&diagnostics);
    ck_assert_uint_eq(diagnostics.count, 0);
}

#endif
