#include "error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name;
    int exit_status;
} errors[SAGA_ERROR_COUNT + 1] = {
    [SAGA_OK] = {"ok", 0},
    [SAGA_ERROR_FAILED] = {"failed", 1},
    [SAGA_ERROR_INVALID] = {"invalid", 1},
    [SAGA_ERROR_USAGE] = {"usage", 2},
    [SAGA_ERROR_NOT_FOUND] = {"not found", 3},
    [SAGA_ERROR_CONFLICT] = {"conflict", 1},
    [SAGA_ERROR_FULL] = {"full", 1},
    [SAGA_ERROR_UNREACHABLE] = {"not reached", 4},
    [SAGA_ERROR_LOG_REFUSED] = {"log refused", 7},
    [SAGA_ERROR_LOG_WRITE] = {"log write failed", 8},
    [SAGA_ERROR_OWNED] = {"owned by another daemon", 9},
    [SAGA_ERROR_TIMEOUT] = {"not in time", 124},
};

enum saga_error saga_fault_set(struct saga_fault *fault, enum saga_error error, const char *format,
                               ...) {
    if (fault != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fault->error = error;
        (void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
        va_end(arguments);
    }
    return error;
}

const char *saga_error_name(enum saga_error error) {
    assert((unsigned)error <= SAGA_ERROR_COUNT);
    return errors[error].name;
}

int saga_error_exit_status(enum saga_error error) {
    assert((unsigned)error <= SAGA_ERROR_COUNT);
    return errors[error].exit_status;
}
