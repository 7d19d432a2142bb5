/*
 * libFuzzer's entry to definitions. Build with clang:
 *
 *   CC=clang cmake -S . -B build-fuzz -DSAGA_FUZZ=ON
 *       -DSAGA_SANITIZE=address,undefined,fuzzer-no-link
 *   build-fuzz/tests/definition_fuzz -max_len=8192 CORPUS examples/booking
 */
#include "definition.h"

#include "../definition_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Refused with a reason, or accepted by the core and given back, byte for byte,
 * by its canonical form. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics;
    enum saga_error error =
        saga_definition_parse((const char *)bytes, size, &definition, &diagnostics);
    if (error != SAGA_OK) {
        assert(definition == NULL && diagnostics.count > 0);
        free(saga_diagnostics_text(&diagnostics, "fuzz"));
        saga_diagnostics_free(&diagnostics);
        return 0;
    }
    assert(saga_plan_check(&definition->plan));
    struct saga_definition *again = NULL;
    error = saga_definition_parse(definition->canonical, definition->canonical_size, &again,
                                  &diagnostics);
    assert(error == SAGA_OK);
    assert(strcmp(again->canonical, definition->canonical) == 0);
    assert(definition_plan_equal(&again->plan, &definition->plan));
    saga_definition_free(again);
    saga_definition_free(definition);
    return 0;
}
