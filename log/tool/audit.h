/*
 * The audit: reads a log's records in their order, and notes which of them break which rule.
 *
 * Hides what has to be kept of each saga, and that the rules of transitions are sets of
 * possibilities (statute.h). Shares nothing with the core but the records and a definition's plan:
 * it is a second opinion.
 *
 * Threads: one.
 */
#ifndef SAGA_AUDIT_H
#define SAGA_AUDIT_H

#include "definition.h"
#include "error.h"
#include "rule.h"

/* How often a rule was broken, and where first. */
struct saga_breach {
    uint64_t count;
    uint64_t lsn;
    uint8_t fact;
    struct saga_id saga; /* zero: of the log itself */
};

struct saga_audit;

/* NULL: no memory. */
struct saga_audit *saga_audit_open(void);
void saga_audit_close(struct saga_audit *audit);

/* Takes in the next record. `definition` is needed with a SAGA_STARTED alone (NULL: it is not in
 * the log, or cannot be read: then that saga is not looked at), and lives as long as the audit. Of
 * a saga that has broken a rule no more is said. Errors: FAILED (memory). */
SAGA_CHECKED enum saga_error saga_audit_note(struct saga_audit *audit,
                                             const struct saga_record *record,
                                             const struct saga_definition *definition,
                                             struct saga_fault *fault);

/* The records from here on were not read: what follows them is not held against them. */
void saga_audit_miss(struct saga_audit *audit, uint64_t next_lsn);

const struct saga_breach *saga_audit_breach(const struct saga_audit *audit, enum saga_rule rule);

#endif
