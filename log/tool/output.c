#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "escape.h"
#include "json.h"

#define FULL_BYTES  (256 << 10)
#define COLUMNS_MIN 40
#define COLUMNS_MAX 10000

/* COLUMNS, or the terminal's width; 0: a pipe or a file, where nothing is cut. */
static size_t find_columns(void) {
    const char *text = getenv("COLUMNS");
    struct winsize window = {0};
    unsigned long columns = text != NULL ? strtoul(text, NULL, 10) : 0;
    if (columns == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) {
        columns = window.ws_col;
    }
    if (columns == 0 || columns > COLUMNS_MAX) {
        return 0;
    }
    return columns < COLUMNS_MIN ? COLUMNS_MIN : columns;
}

/* NO_COLOR: https://no-color.org */
static bool find_colour(void) {
    const char *no = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return (no == NULL || *no == '\0') && isatty(STDOUT_FILENO) == 1 && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for what is to be printed");
}

static enum saga_error begin(struct saga_output *output, struct saga_fault *fault) {
    output->file = open_memstream(&output->bytes, &output->size);
    return output->file != NULL ? SAGA_OK : no_memory(fault);
}

enum saga_error saga_output_open(struct saga_output *output, struct saga_fault *fault) {
    *output = (struct saga_output){.columns = find_columns(), .colour = find_colour()};
    return begin(output, fault);
}

void saga_output_close(struct saga_output *output) {
    if (output->file != NULL) {
        (void)fclose(output->file); /* what is in it was not to be written */
    }
    free(output->bytes);
    *output = (struct saga_output){0};
}

bool saga_output_full(const struct saga_output *output) {
    return ftell(output->file) >= FULL_BYTES;
}

/* Until somebody takes something. */
static enum saga_error await_reader(const struct saga_output *output, struct saga_fault *fault) {
    struct pollfd polled = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int ready;
    do {
        ready = poll(&polled, 1, output->patience_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready != 0) {
        return SAGA_OK; /* an error is the write's to tell */
    }
    return saga_fault_set(fault, SAGA_ERROR_TIMEOUT,
                          "nobody has read standard output for %d s, and meanwhile the log cannot "
                          "reuse pages and grows: it was given up. Write to a file, and copy that.",
                          output->patience_ms / 1000);
}

/* A pipe that can be written takes so much without waiting. */
static size_t portion(const struct saga_output *output, size_t size) {
    return output->patience_ms == 0 || size < PIPE_BUF ? size : PIPE_BUF;
}

static enum saga_error write_all(struct saga_output *output, struct saga_fault *fault) {
    for (size_t done = 0; done < output->size;) {
        const enum saga_error waited =
            output->patience_ms > 0 ? await_reader(output, fault) : SAGA_OK;
        if (waited != SAGA_OK) {
            return waited;
        }
        const size_t size = portion(output, output->size - done);
        const ssize_t written = write(STDOUT_FILENO, output->bytes + done, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            output->gone = errno == EPIPE;
            return saga_fault_set(fault, SAGA_ERROR_FAILED, "cannot write to standard output: %s",
                                  strerror(errno));
        }
        done += (size_t)written;
    }
    return SAGA_OK;
}

enum saga_error saga_output_flush(struct saga_output *output, struct saga_fault *fault) {
    const bool held = !ferror(output->file);
    const bool whole = fclose(output->file) == 0 && held;
    output->file = NULL;
    enum saga_error error = whole ? write_all(output, fault) : no_memory(fault);
    free(output->bytes);
    output->bytes = NULL;
    return error == SAGA_OK ? begin(output, fault) : error;
}

enum saga_error saga_output_json(struct saga_output *output, json_t *json,
                                 struct saga_fault *fault) {
    size_t size = 0;
    char *text = json != NULL ? saga_json_text(json, &size) : NULL;
    json_decref(json);
    if (text == NULL) {
        return no_memory(fault);
    }
    saga_escape_json(output->file, text, size);
    (void)fputc('\n', output->file);
    free(text);
    return SAGA_OK;
}
