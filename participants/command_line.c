#include "command_line.h"

#include "participant.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------- the database */

#define URL_PREFIX "sqlite:///"

static const struct argp_option database_options[] = {
    {"db", 'd', "FILE", 0,
     "The service's SQLite database (default: DATABASE_URL=" URL_PREFIX "FILE)", 0},
    {0},
};

static error_t parse_database(int key, char *argument, struct argp_state *state) {
    struct saga_verb_input *input = state->input;
    if (key != 'd') {
        return ARGP_ERR_UNKNOWN;
    }
    if (argument[0] == '\0') {
        argp_error(state, "--db '%s': expected a file's name", argument);
    }
    input->database = argument;
    return 0;
}

static const struct argp database_argp = {.options = database_options, .parser = parse_database};

/* Takes DATABASE_URL where --db was not given. */
static enum saga_error find_database(struct saga_verb_input *input, struct saga_fault *fault) {
    if (input->database != NULL) {
        return SAGA_OK;
    }
    const char *url = getenv("DATABASE_URL");
    if (url == NULL || url[0] == '\0') {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "which database? give --db FILE, or set DATABASE_URL=" URL_PREFIX
                              "FILE");
    }
    if (strncmp(url, URL_PREFIX, strlen(URL_PREFIX)) != 0 || url[strlen(URL_PREFIX)] == '\0') {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "DATABASE_URL='%s': expected " URL_PREFIX
                              "FILE (with four slashes for an absolute path)",
                              url);
    }
    input->database = url + strlen(URL_PREFIX);
    return SAGA_OK;
}

/* ------------------------------------------------------------------ parsing */

struct outer {
    const struct saga_verb *verbs;
    size_t verb_count;
    struct saga_verb_input input;
    const struct saga_verb *verb;
    int verb_index; /* where the verb stands in argv */
};

static const struct saga_verb *find_verb(const struct outer *outer, const char *name) {
    for (size_t i = 0; i < outer->verb_count; i++) {
        if (strcmp(outer->verbs[i].name, name) == 0) {
            return &outer->verbs[i];
        }
    }
    return NULL;
}

static error_t parse_outer(int key, char *argument, struct argp_state *state) {
    struct outer *outer = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &outer->input;
        return 0;
    case ARGP_KEY_ARG:
        outer->verb = find_verb(outer, argument);
        if (outer->verb == NULL) {
            argp_error(state, "there is no verb '%s'", argument);
        }
        /* What follows is the verb's own. */
        outer->verb_index = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which verb?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct inner {
    const struct saga_verb *verb;
    struct saga_verb_input *input;
};

/* What the parsers that stand beside the verb's own are to fill. */
static void give_children(const struct inner *inner, struct argp_state *state) {
    size_t count = 0;
    if (inner->verb->needs_database) {
        state->child_inputs[count++] = inner->input;
    }
    if (inner->verb->switched) {
        state->child_inputs[count++] = &inner->input->switches;
    }
}

static error_t parse_inner(int key, char *argument, struct argp_state *state) {
    struct inner *inner = state->input;
    if (key >= SAGA_VERB_VALUE && key < SAGA_VERB_VALUE + SAGA_VERB_VALUE_MAX) {
        inner->input->values[key - SAGA_VERB_VALUE] = argument;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        give_children(inner, state);
        return 0;
    case ARGP_KEY_ARG:
        if (inner->verb->argument == NULL || inner->input->argument != NULL) {
            argp_error(state, "'%s' is one argument too many", argument);
        }
        inner->input->argument = argument;
        return 0;
    case ARGP_KEY_END:
        if (inner->verb->argument != NULL && inner->input->argument == NULL) {
            argp_error(state, "%s is missing", inner->verb->argument);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child database_children[] = {{&database_argp, 0, NULL, 0}, {0}};

/* The program's help: what it is, and after the options its verbs. NULL: no memory. */
static char *outer_doc(const char *doc, const struct saga_verb *verbs, size_t verb_count) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL) {
        return NULL;
    }
    (void)fprintf(stream, "%s\vVerbs:\n", doc);
    for (size_t i = 0; i < verb_count; i++) {
        (void)fprintf(stream, "  %s%s%s\n        %s\n", verbs[i].name,
                      verbs[i].argument == NULL ? "" : " ",
                      verbs[i].argument == NULL ? "" : verbs[i].argument, verbs[i].doc);
    }
    (void)fprintf(stream, "\nEach has its own --help. Exit status: 0 done, 1 failed, 2 usage, "
                          "3 not found, 4 daemon not reached, 5 the saga was compensated, "
                          "6 it is parked, 124 not in time.");
    return fclose(stream) == 0 ? text : NULL;
}

static void parse_verb(int argc, char **argv, const struct outer *outer,
                       struct saga_verb_input *input) {
    struct inner inner = {.verb = outer->verb, .input = input};
    struct argp_child children[3] = {{0}}; /* in the order of give_children() */
    size_t count = 0;
    if (outer->verb->needs_database) {
        children[count++] = (struct argp_child){&database_argp, 0, NULL, 0};
    }
    if (outer->verb->switched) {
        children[count++] = (struct argp_child){&saga_participant_switches_argp, 0,
                                                "To see what failures look like:", 1};
    }
    struct argp argp = {
        .options = outer->verb->options,
        .parser = parse_inner,
        .args_doc = outer->verb->argument == NULL ? "" : outer->verb->argument,
        .doc = outer->verb->doc,
        .children = children,
    };
    char *program = argv[outer->verb_index];
    char name[128];
    (void)snprintf(name, sizeof name, "%s %s", input->program, outer->verb->name);
    argv[outer->verb_index] = name; /* what its messages begin with */
    (void)argp_parse(&argp, argc - outer->verb_index, argv + outer->verb_index, 0, NULL, &inner);
    argv[outer->verb_index] = program;
}

/* ---------------------------------------------------------------------- run */

static int run_verb(struct outer *outer) {
    struct saga_fault fault = {0};
    enum saga_error error = SAGA_OK;
    if (outer->verb->needs_database) {
        error = find_database(&outer->input, &fault);
    }
    if (error == SAGA_OK) {
        error = outer->verb->run(&outer->input, &fault);
    }
    if (error == SAGA_OK && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
        error = saga_fault_set(&fault, SAGA_ERROR_FAILED, "cannot write to standard output: %s",
                               strerror(errno));
    }
    if (error != SAGA_OK) {
        (void)fprintf(stderr, "%s: %s\n", outer->input.program, fault.text);
        return saga_error_exit_status(error);
    }
    return outer->input.exit_status;
}

int saga_command_line_run(int argc, char **argv, const char *doc, const struct saga_verb *verbs,
                          size_t verb_count) {
    argp_err_exit_status = saga_error_exit_status(SAGA_ERROR_USAGE);
    char *text = outer_doc(doc, verbs, verb_count);
    if (text == NULL) {
        (void)fprintf(stderr, "%s: out of memory\n", program_invocation_short_name);
        return saga_error_exit_status(SAGA_ERROR_FAILED);
    }
    struct outer outer = {
        .verbs = verbs, .verb_count = verb_count, .input.program = program_invocation_short_name};
    struct argp argp = {.parser = parse_outer,
                        .args_doc = "VERB [ARGUMENT]",
                        .doc = text,
                        .children = database_children};
    error_t parsed = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &outer);
    assert(parsed == 0 && outer.verb != NULL); /* every error ends the program in there */
    parse_verb(argc, argv, &outer, &outer.input);
    int exit_status = run_verb(&outer);
    free(text);
    return exit_status;
}

/* ----------------------------------------------------------------- printing */

enum saga_error saga_print_object(json_t *object, struct saga_fault *fault) {
    char *line = object == NULL ? NULL : json_dumps(object, 0);
    json_decref(object);
    if (line == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "a row cannot be shown as JSON");
    }
    int written = printf("%s\n", line);
    free(line);
    if (written < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "cannot write to standard output: %s",
                              strerror(errno));
    }
    return SAGA_OK;
}

static json_t *column_value(sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(statement, column));
    case SQLITE_NULL:
        return json_null();
    default:
        return json_string((const char *)sqlite3_column_text(statement, column));
    }
}

static bool add_column(json_t *object, sqlite3_stmt *statement, int column) {
    const char *name = sqlite3_column_name(statement, column);
    static const char suffix[] = "_cents";
    size_t size = name == NULL ? 0 : strlen(name);
    if (size <= strlen(suffix) || strcmp(name + size - strlen(suffix), suffix) != 0) {
        return name != NULL &&
               json_object_set_new(object, name, column_value(statement, column)) == 0;
    }
    char key[64];
    char amount[32];
    int64_t cents = sqlite3_column_int64(statement, column);
    (void)snprintf(key, sizeof key, "%.*s", (int)(size - strlen(suffix)), name);
    (void)snprintf(amount, sizeof amount, "%" PRId64 ".%02d", cents / 100, (int)(cents % 100));
    return json_object_set_new(object, key, json_string(amount)) == 0;
}

static enum saga_error print_row(sqlite3_stmt *statement, struct saga_fault *fault) {
    json_t *object = json_object();
    bool whole = object != NULL;
    for (int i = 0; whole && i < sqlite3_column_count(statement); i++) {
        whole = add_column(object, statement, i);
    }
    if (!whole) {
        json_decref(object);
        object = NULL;
    }
    return saga_print_object(object, fault);
}

static enum saga_error print_all(sqlite3 *database, const char *path, const char *sql,
                                 const char *argument, size_t *count, struct saga_fault *fault) {
    sqlite3_stmt *statement = NULL;
    size_t rows = 0;
    enum saga_error error = SAGA_OK;
    int status = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    if (status == SQLITE_OK && argument != NULL) {
        status = sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC);
    }
    if (status == SQLITE_OK) {
        while (error == SAGA_OK && (status = sqlite3_step(statement)) == SQLITE_ROW) {
            error = print_row(statement, fault);
            rows++;
        }
    }
    if (error == SAGA_OK && status != SQLITE_DONE) {
        error = saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: %s", path, sqlite3_errmsg(database));
    }
    sqlite3_finalize(statement);
    if (count != NULL) {
        *count = rows;
    }
    return error;
}

enum saga_error saga_print_rows(const struct saga_service *service, const char *path,
                                const char *sql, const char *argument, size_t *count,
                                struct saga_fault *fault) {
    struct saga_participant *participant;
    enum saga_error error =
        saga_participant_open_existing(&participant, service, path, NULL, fault);
    if (error == SAGA_OK) {
        error =
            print_all(saga_participant_database(participant), path, sql, argument, count, fault);
        saga_participant_close(participant);
    }
    return error;
}
