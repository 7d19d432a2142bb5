/*
 * What a reply says: its verdict, from a header or from its body.
 *
 * Threads: no state.
 */
#ifndef SAGA_REPLY_H
#define SAGA_REPLY_H

#include "definition.h"

/* The largest body of a reply (docs/protocol.md). */
#define SAGA_REPLY_BYTES_MAX (1u << 20)

/* `outcome` is the verdict that a header says, or 0: then the event named by
 * the body's reply_state decides, and one that the definition does not list is
 * an unknown outcome (*listed false). No body at all is a reply without
 * content. False: the body cannot be read (no JSON object, too large). */
SAGA_CHECKED bool saga_reply_read(const struct saga_definition *definition,
                                  const struct saga_command_id *command, uint8_t outcome,
                                  struct saga_bytes body, uint8_t *verdict, bool *listed);

#endif
