/*
 * Secrets in payloads, covered before they are shown.
 *
 * Hides which names of JSON members are taken for secrets (docs/sagalog.md lists them). The value
 * of such a member is "***", whatever it was, unless it was null. What is no JSON has no names, and
 * is shown as it is.
 *
 * Threads: no state.
 */
#ifndef SAGA_MASK_H
#define SAGA_MASK_H

#include <jansson.h>
#include <stdbool.h>

#include "error.h"
#include "saga.h"

/* True if a member of this name is taken for a secret: one of its words is on the list, be they
 * written card_number, card-number or cardNumber. */
bool saga_mask_names(const char *name);

/* Covers what is secret in `json`, at any depth. False: nothing was. */
bool saga_mask_json(json_t *json);

/* A record whose payload and content may be shown. */
struct saga_masked {
    struct saga_record record;
    char *payload, *content; /* owned; NULL: as in the log */
};

/* `secrets`: cover nothing. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_masked_make(struct saga_masked *masked,
                                              const struct saga_record *record, bool secrets,
                                              struct saga_fault *fault);
void saga_masked_fini(struct saga_masked *masked);

#endif
