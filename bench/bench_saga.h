/*
 * The saga that the benchmarks over RabbitMQ run: three commands to the echo.
 */
#ifndef SAGA_BENCH_SAGA_H
#define SAGA_BENCH_SAGA_H

#include "definition.h"

/* Before anything is measured. */
#define SAGA_BENCH_WARM_S 0.5

/* JSON; each command's body. */
extern const char saga_bench_saga_input[];

/* The caller's, to be freed. */
struct saga_definition *saga_bench_saga_definition(void);

/* Of any text. */
struct saga_definition *saga_bench_definition_of(const char *yaml, size_t size);

#endif
