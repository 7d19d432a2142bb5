/*
 * The commands of sagactl. Each returns its exit status (docs/protocol.md).
 *
 * Threads: one.
 */
#ifndef SAGA_COMMANDS_H
#define SAGA_COMMANDS_H

#include "error.h"
#include "order.h"
#include "remote.h"

int saga_command_start(struct saga_remote *remote, const struct saga_order *order);
int saga_command_get(struct saga_remote *remote, const struct saga_order *order);
int saga_command_list(struct saga_remote *remote, const struct saga_order *order);
int saga_command_act(struct saga_remote *remote, const struct saga_order *order);
int saga_command_stats(struct saga_remote *remote, const struct saga_order *order);
int saga_command_validate(const struct saga_order *order);

/* Says what went wrong, on standard error; returns the exit status for it. */
int saga_complain(const struct saga_fault *fault);

/* One saga, as GET /v1/sagas/{id} gives it, for people. */
void saga_show_saga(const json_t *saga, const struct saga_order *order);

#endif
