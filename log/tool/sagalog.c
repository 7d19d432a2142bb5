/*
 * sagalog: reads the log of sagad, while it runs or when it is dead, and
 * changes nothing in it; and makes a log of a backup, where there is none.
 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

static const struct saga_command commands[] = {
    {.name = "list", .run = saga_list_run},
    {.name = "show", .takes_id = true, .run = saga_show_run},
    {.name = "tail", .may_follow = true, .run = saga_tail_run},
    {.name = "verify", .run = saga_verify_run},
    {.name = "stats", .run = saga_stats_run},
    {.name = "export", .run = saga_export_run},
    {.name = "backup", .takes_file = true, .run = saga_backup_run},
    {.name = "restore", .takes_file = true, .needs_no_log = true, .run = saga_restore_log_run},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* -------------------------------------------------------------- command line */

static const char *const about =
    "Reads the log of sagad, while it runs or when it is dead, and changes nothing in it.\v"
    "Commands:\n"
    "  list       a line per saga, the newest first\n"
    "  show ID    the story of one saga; ID is any part of an id that only one has\n"
    "  tail       the latest 20 records of all sagas\n"
    "  verify     reads and checks every record, and names what is wrong\n"
    "  stats      counts, and the size of the log\n"
    "  export     every record as a line of JSON, without loss\n"
    "  backup [FILE]   a backup of the whole log, to a file that is not there yet, or standard "
    "output\n"
    "  restore [FILE]  makes a log of a backup, in a data directory that is empty or not there\n"
    "\n"
    "Exit status: 0 ok; 1 failed; 2 usage; 3 no log there, or not one saga with this ID; "
    "7 log refused, or sagas in it out of service (verify).";

static const struct argp_option options[] = {
    {"data-dir", 'd', "DIR", 0, "The data directory of the daemon", 0},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 0},
    {"rate", 'r', "BYTES", 0,
     "backup: reads and writes so many a second, or with K, M or G; 0: any (default: 32M)", 0},
    {"follow", 'f', NULL, 0, "tail: go on printing records as they are written", 0},
    {0},
};

static const struct saga_command *command_named(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void take_word(struct argp_state *state, char *word) {
    struct saga_session *session = state->input;
    if (state->arg_num == 0) {
        session->command = command_named(word);
        if (session->command == NULL) {
            argp_error(state,
                       "there is no command '%s'; there are list, show ID, tail, verify, stats, "
                       "export, backup and restore",
                       word);
        }
    } else if (state->arg_num == 1 && *word != '\0' &&
               (session->command->takes_id || session->command->takes_file)) {
        session->argument = word;
    } else {
        argp_error(state, "'%s' is one word too many", word);
    }
}

static void check_line(struct argp_state *state) {
    const struct saga_session *session = state->input;
    if (session->command == NULL) {
        argp_error(state,
                   "which command? There are list, show ID, tail, verify, stats, export, backup "
                   "and restore");
    } else if (session->command->takes_id && session->argument == NULL) {
        argp_error(state, "'%s' takes the ID of a saga, or any part of it that no other has",
                   session->command->name);
    } else if (session->follow && !session->command->may_follow) {
        argp_error(state, "'%s' cannot follow: -f goes with tail", session->command->name);
    } else if (session->data_dir == NULL) {
        argp_error(state, "--data-dir DIR is missing: the directory that sagad was given");
    }
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct saga_session *session = state->input;
    switch (key) {
    case 'd':
        session->data_dir = value;
        return 0;
    case 'j':
        session->json = true;
        return 0;
    case 'r':
        session->rate = value;
        return 0;
    case 'f':
        session->follow = true;
        return 0;
    case ARGP_KEY_ARG:
        take_word(state, value);
        return 0;
    case ARGP_KEY_END:
        check_line(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------- signals */

#define STATUS_LOG_REFUSED 7

static const char fallen[] =
    "sagalog: reading log/data.mdb ended in a memory fault: it was cut short or damaged while it "
    "was read, or sagalog has a defect. Restore data.mdb from a backup; nothing was changed.\n";

/* LMDB trusts what it maps. The log is checked before it is mapped, but a file
 * that changes under a reader can still fault it. */
static void fall(int number) {
    (void)number;
    (void)!write(STDERR_FILENO, fallen, sizeof fallen - 1);
    _exit(STATUS_LOG_REFUSED);
}

static void prepare_signals(void) {
    const struct sigaction falling = {.sa_handler = fall, .sa_flags = SA_NODEFER};
    const struct sigaction ignoring = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGBUS, &falling, NULL);
    (void)sigaction(SIGSEGV, &falling, NULL);
    /* A reader who has seen enough (head) is told apart by the write's error, so that the log is
     * closed in order. */
    (void)sigaction(SIGPIPE, &ignoring, NULL);
}

/* ---------------------------------------------------------------------- main */

static enum saga_error run(struct saga_session *session) {
    const struct saga_log_options log_options = {.data_dir = session->data_dir, .read_only = true};
    enum saga_error error = saga_output_open(&session->output, &session->fault);
    if (error == SAGA_OK && !session->command->needs_no_log) {
        error = saga_log_open(&session->log, &log_options, &session->fault);
    }
    if (error != SAGA_OK) {
        session->log = NULL;
        return error;
    }
    error = session->command->run(session);
    /* What was found out before something went wrong is worth having. */
    if (session->output.file != NULL && !session->output.gone) {
        struct saga_fault fault;
        const enum saga_error flushed = saga_output_flush(&session->output, &fault);
        if (error == SAGA_OK && flushed != SAGA_OK) {
            session->fault = fault;
            error = flushed;
        }
    }
    return error;
}

int main(int argc, char **argv) {
    static const char version[] = "sagalog " SAGA_VERSION;
    const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "COMMAND [ID | FILE]", .doc = about};
    struct saga_session session = {0};
    argp_err_exit_status = 2;
    argp_program_version = version;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &session);
    prepare_signals();
    enum saga_error error = run(&session);
    if (session.output.gone && error == SAGA_ERROR_FAILED) {
        error = SAGA_OK; /* nobody reads any more: no reason to complain */
    } else if (error != SAGA_OK) {
        (void)fprintf(stderr, "sagalog: %s\n", session.fault.text);
    }
    saga_output_close(&session.output);
    if (session.log != NULL) {
        saga_log_close(session.log);
    }
    return saga_error_exit_status(error);
}
