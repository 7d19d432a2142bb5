/*
 * What sagactl's command line asks for.
 *
 * Hides argp: options, --help of each command, and what is missing.
 *
 * Threads: one.
 */
#ifndef SAGA_ORDER_H
#define SAGA_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum saga_order_command {
    SAGA_ORDER_START = 1,
    SAGA_ORDER_GET,
    SAGA_ORDER_LIST,
    SAGA_ORDER_CANCEL,
    SAGA_ORDER_RETRY,
    SAGA_ORDER_RESOLVE,
    SAGA_ORDER_MARK_COMPENSATED,
    SAGA_ORDER_WRITE_OFF,
    SAGA_ORDER_VALIDATE,
    SAGA_ORDER_STATS,
};

/* Texts are argv's or the environment's. What was not said is NULL or 0. */
struct saga_order {
    enum saga_order_command command;
    const char *server;
    const char *data_dir;
    bool json;
    const char *saga;    /* start: of which; list: only of these */
    const char *input;   /* start */
    const char *key;     /* start */
    bool wait;           /* start */
    int64_t timeout_ms;  /* start; -1: without end */
    const char *id;      /* get, and operators' verbs: a part of it */
    const char *reason;  /* operators' verbs */
    const char *step;    /* resolve, mark-compensated, write-off */
    const char *verdict; /* resolve: "done", "rejected" */
    const char *content; /* resolve: JSON, or @FILE */
    const char *status;  /* list */
    uint64_t limit;      /* list */
    char **files;        /* validate; NULL-terminated */
};

/* Reads it. Ends the program where it was asked for help, or makes no sense
 * (exit status 2). */
void saga_order_parse(struct saga_order *order, int argc, char **argv);

#endif
