#include "bench_saga.h"

#include <string.h>

#include "load.h"

static const char text[] = "saga: bench\n"
                           "version: 1\n"
                           "exchange: " SAGA_BENCH_EXCHANGE "\n"
                           "participants:\n"
                           "  echo: {fenced: true}\n"
                           "steps:\n"
                           "  - {name: a, command: echo.a, compensation: {command: echo.undo_a}}\n"
                           "  - {name: b, command: echo.b, compensation: {command: echo.undo_b}}\n"
                           "  - {name: c, command: echo.c, pivot: true}\n";

const char saga_bench_saga_input[] =
    "{\"customer\":\"0192a0b1\",\"parking_slot_uuid\":\"e1a9e2c8-7b1b-4c52-9c1e-6d1a2f5b7a10\","
    "\"total\":10000}";

struct saga_definition *saga_bench_definition_of(const char *yaml, size_t size) {
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    if (saga_definition_parse(yaml, size, &definition, &diagnostics) != SAGA_OK) {
        saga_bench_die("definition", diagnostics.items[0].message);
    }
    return definition;
}

struct saga_definition *saga_bench_saga_definition(void) {
    return saga_bench_definition_of(text, sizeof text - 1);
}
