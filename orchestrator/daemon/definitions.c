#include "definitions.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "booking_yaml.h"
#include "file.h"

/* What went wrong so far. */
struct loading {
    struct saga_definitions *definitions;
    const char *files[SAGA_DEFINITIONS_MAX]; /* where each came from */
    size_t error_count;
    size_t wrong_file_count;
};

static bool is_yaml(const char *name) {
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot != NULL && strcmp(dot, ".yaml") == 0;
}

static int select_yaml(const struct dirent *entry) {
    return is_yaml(entry->d_name) ? 1 : 0;
}

static void note(struct loading *loading, size_t errors) {
    loading->error_count += errors;
    loading->wrong_file_count++;
}

/* Two files for one saga: which of them is meant cannot be guessed. */
static bool is_known(const struct loading *loading, const struct saga_definition *definition,
                     const char *path) {
    for (size_t i = 0; i < loading->definitions->count; i++) {
        if (strcmp(loading->definitions->items[i]->name, definition->name) == 0) {
            (void)fprintf(stderr, "%s:1:1: error: the saga '%s' is defined in %s already\n", path,
                          definition->name, loading->files[i]);
            return true;
        }
    }
    return false;
}

static void load_text(struct loading *loading, const char *path, const char *text, size_t size) {
    struct saga_definitions *definitions = loading->definitions;
    struct saga_definition *definition = NULL;
    struct saga_diagnostics diagnostics = {0};
    if (saga_definition_parse(text, size, &definition, &diagnostics) != SAGA_OK) {
        char *printed = saga_diagnostics_text(&diagnostics, path);
        (void)fputs(printed, stderr);
        free(printed);
        note(loading, diagnostics.count);
    } else if (is_known(loading, definition, path)) {
        saga_definition_free(definition);
        note(loading, 1);
    } else {
        loading->files[definitions->count] = path;
        definitions->items[definitions->count++] = definition;
    }
    saga_diagnostics_free(&diagnostics);
}

static enum saga_error load_file(struct loading *loading, const char *path,
                                 struct saga_fault *fault) {
    char *text = NULL;
    size_t size = 0;
    enum saga_error error = saga_file_read(path, SAGA_DEFINITION_BYTES_MAX, &text, &size, fault);
    if (error == SAGA_OK) {
        load_text(loading, path, text, size);
        free(text);
    }
    return error;
}

static enum saga_error load_files(struct loading *loading, const char *directory,
                                  struct dirent **entries, size_t count, char **paths,
                                  struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < count && error == SAGA_OK; i++) {
        if (asprintf(&paths[i], "%s/%s", directory, entries[i]->d_name) < 0) {
            paths[i] = NULL;
            return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the definitions");
        }
        error = load_file(loading, paths[i], fault);
    }
    return error;
}

enum saga_error saga_definitions_load(struct saga_definitions *definitions, const char *path,
                                      struct saga_fault *fault) {
    struct dirent **entries = NULL;
    char *paths[SAGA_DEFINITIONS_MAX] = {NULL};
    struct loading loading = {.definitions = definitions};
    definitions->count = 0;
    const int count = scandir(path, &entries, select_yaml, alphasort);
    enum saga_error error;
    if (count < 0) {
        return saga_fault_set(fault, errno == ENOENT ? SAGA_ERROR_NOT_FOUND : SAGA_ERROR_FAILED,
                              "the definitions in %.300s cannot be read: %s", path,
                              strerror(errno));
    }
    if (count == 0) {
        error = saga_fault_set(fault, SAGA_ERROR_NOT_FOUND, "there is no definition (*.yaml) in %s",
                               path);
    } else if (count > SAGA_DEFINITIONS_MAX) {
        error = saga_fault_set(fault, SAGA_ERROR_FULL, "%.300s has more than %d definitions", path,
                               SAGA_DEFINITIONS_MAX);
    } else {
        error = load_files(&loading, path, entries, (size_t)count, paths, fault);
    }
    if (error == SAGA_OK && loading.error_count > 0) {
        error = saga_fault_set(fault, SAGA_ERROR_INVALID,
                               "%zu errors in %zu of the %d definitions in %.300s; nothing was "
                               "started",
                               loading.error_count, loading.wrong_file_count, count, path);
    }
    for (int i = 0; i < count; i++) {
        free(entries[i]);
    }
    free(entries);
    for (size_t i = 0; i < SAGA_DEFINITIONS_MAX; i++) {
        free(paths[i]);
    }
    return error;
}

enum saga_error saga_definitions_builtin(struct saga_definitions *definitions,
                                         struct saga_fault *fault) {
    struct loading loading = {.definitions = definitions};
    definitions->count = 0;
    load_text(&loading, "booking.yaml (built in)", saga_booking_yaml, saga_booking_yaml_size);
    return loading.error_count == 0
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_INVALID, "the built-in definition is wrong");
}

void saga_definitions_free(struct saga_definitions *definitions) {
    for (size_t i = 0; i < definitions->count; i++) {
        saga_definition_free(definitions->items[i]);
        definitions->items[i] = NULL;
    }
    definitions->count = 0;
}
