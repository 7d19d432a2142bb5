/*
 * Errors: one type, and one table for code, text and exit status.
 *
 * Three classes, never mixed: an operating error is returned as a saga_error,
 * with the story in a saga_fault; an impossible state is an assertion, always
 * on; a failed write of the log ends the process (SAGA_ERROR_LOG_WRITE).
 *
 * Threads: no state.
 */
#ifndef SAGA_ERROR_H
#define SAGA_ERROR_H

#include <stddef.h>

#ifndef SAGA_CHECKED
#define SAGA_CHECKED __attribute__((warn_unused_result))
#endif

enum saga_error {
    SAGA_OK = 0,
    SAGA_ERROR_FAILED,  /* it did not work, and none of the following */
    SAGA_ERROR_INVALID, /* the caller's text or file is wrong */
    SAGA_ERROR_USAGE,   /* the command line is wrong */
    SAGA_ERROR_NOT_FOUND,
    SAGA_ERROR_CONFLICT,    /* a key used with another input; a verb that does not fit */
    SAGA_ERROR_FULL,        /* a limit is reached; nothing was taken */
    SAGA_ERROR_UNREACHABLE, /* the daemon or the broker */
    SAGA_ERROR_LOG_REFUSED, /* the log is corrupt, missing, or of a newer format */
    SAGA_ERROR_LOG_WRITE,   /* a write of the log failed: its outcome is unknown */
    SAGA_ERROR_OWNED,       /* the data directory belongs to another daemon */
    SAGA_ERROR_TIMEOUT,
};
#define SAGA_ERROR_COUNT 11

/* The story of an error: what, where, and what to do. Filled by the function
 * that returns the error, left alone on success. */
struct saga_fault {
    enum saga_error error;
    char text[1024];
};

/* Fills `fault` (may be NULL) and returns `error`, so that a failing function
 * ends in `return saga_fault_set(...)`. */
__attribute__((format(printf, 3, 4))) enum saga_error
saga_fault_set(struct saga_fault *fault, enum saga_error error, const char *format, ...);

/* "log refused", ... */
const char *saga_error_name(enum saga_error error);

/* The exit status of a program that ends with `error` (docs/protocol.md). */
int saga_error_exit_status(enum saga_error error);

#endif
