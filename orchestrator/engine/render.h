/*
 * Rendering: the body of a saga's next command.
 *
 * The saga's data starts as its input; the content of each done verdict on an
 * action (its reply's, or its fence's) is merged into it, shallow, later wins.
 * A command's body is the data. The latest command has the data as it was then,
 * so only the replies after it are merged: usually one.
 *
 * Threads: the log's appending thread.
 */
#ifndef SAGA_RENDER_H
#define SAGA_RENDER_H

#include "error.h"
#include "log.h"

/* The largest body of a command (docs/protocol.md). */
#define SAGA_RENDER_BYTES_MAX (1u << 20)

/* The body of a command of `operation` after record `last_lsn` of `saga`.
 * malloc'd, the caller's. Where the data has outgrown a command, an action is not
 * rendered, but a compensation or a fence gets the data of the latest body that
 * fitted: what was begun must still be undone. Errors: INVALID (too large),
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_render(struct saga_log *log, const struct saga_id *saga,
                                         enum saga_operation operation, uint64_t last_lsn,
                                         void **body, size_t *size, struct saga_fault *fault);

#endif
