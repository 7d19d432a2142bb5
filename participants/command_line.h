/*
 * The command line of an example service: `program [--db FILE] VERB [ARGUMENT]`.
 *
 * Hides the parsing (glibc's argp, one parser per verb), where the database is
 * (--db or DATABASE_URL), and how rows are printed: a JSON object a line.
 *
 * Threads: a program has one command line.
 */
#ifndef SAGA_COMMAND_LINE_H
#define SAGA_COMMAND_LINE_H

#include "error.h"
#include "service.h"
#include "switches.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

/* Options of a verb have the keys SAGA_VERB_VALUE + 0, 1, ... in their order. */
#define SAGA_VERB_VALUE     0x5b00
#define SAGA_VERB_VALUE_MAX 12

/* What a verb is given, and the exit status that it may set. */
struct saga_verb_input {
    const char *program;
    const char *database;                      /* a path; NULL where the verb needs none */
    const char *argument;                      /* NULL where the verb takes none */
    const char *values[SAGA_VERB_VALUE_MAX];   /* of its options; NULL: not given */
    struct saga_participant_switches switches; /* of a verb that is `switched` */
    int exit_status;                           /* 0 unless the verb says otherwise */
};

struct saga_verb {
    const char *name;
    const char *argument;              /* "UUID"; NULL: it takes none */
    const char *doc;                   /* one sentence */
    const struct argp_option *options; /* NULL: none */
    bool needs_database;
    /* Does it; returns an error with the fault filled, which then is the exit status. */
    enum saga_error (*run)(struct saga_verb_input *input, struct saga_fault *fault);
    bool switched; /* it takes --limit, --fail, --delay, --crash (switches.h) */
};

/* Parses the command line and runs the verb. Returns the program's exit status
 * (docs/protocol.md); what went wrong is on standard error. */
int saga_command_line_run(int argc, char **argv, const char *doc, const struct saga_verb *verbs,
                          size_t verb_count);

/* Writes one JSON object and a newline; takes the reference. FAILED if it cannot. */
SAGA_CHECKED enum saga_error saga_print_object(json_t *object, struct saga_fault *fault);

struct saga_participant;

/* Runs a query over the service's database and prints each row as an object, with
 * the columns' names as keys; a NULL is null. A column named *_cents is printed as
 * a text with two decimals, under its name without "_cents". `argument` (may be
 * NULL) is ?1. `count` (may be NULL) says how many rows there were. */
SAGA_CHECKED enum saga_error saga_print_rows(const struct saga_service *service, const char *path,
                                             const char *sql, const char *argument, size_t *count,
                                             struct saga_fault *fault);

#endif
