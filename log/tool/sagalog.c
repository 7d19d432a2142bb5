/*
 * sagalog: reads the log of sagad, while it runs or when it is dead, and
 * changes nothing in it; and makes a log of a backup or an export, where there is none.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cell.h"
#include "moment.h"
#include "session.h"

static const struct saga_command commands[] = {
    {.name = "list",
     .takes = SAGA_TAKES_FILTERS | SAGA_TAKES_SAGA | SAGA_TAKES_LIMIT | SAGA_TAKES_SECRETS,
     .run = saga_list_run},
    {.name = "show",
     .takes = SAGA_TAKES_ID | SAGA_TAKES_PAYLOADS | SAGA_TAKES_SECRETS,
     .run = saga_show_run},
    {.name = "explain", .takes = SAGA_TAKES_ID, .run = saga_explain_run},
    {.name = "state",
     .takes = SAGA_TAKES_ID | SAGA_TAKES_AT | SAGA_TAKES_SECRETS,
     .run = saga_state_run},
    {.name = "tail",
     .takes = SAGA_TAKES_FOLLOW | SAGA_TAKES_SAGA | SAGA_TAKES_LIMIT | SAGA_TAKES_SECRETS,
     .run = saga_tail_run},
    {.name = "verify", .run = saga_verify_run},
    {.name = "stats", .run = saga_stats_run},
    {.name = "export", .run = saga_export_run},
    {.name = "backup", .takes = SAGA_TAKES_FILE | SAGA_TAKES_RATE, .run = saga_backup_run},
    {.name = "import", .takes = SAGA_TAKES_FILE | SAGA_TAKES_NO_LOG, .run = saga_import_run},
    {.name = "restore", .takes = SAGA_TAKES_FILE | SAGA_TAKES_NO_LOG, .run = saga_restore_log_run},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* -------------------------------------------------------------- command line */

static const char *const about =
    "Reads the log of sagad, while it runs or when it is dead, and changes nothing in it.\v"
    "Commands:\n"
    "  list       a line per saga, the newest first\n"
    "  show ID    the story of one saga; ID is any part of an id that only one has\n"
    "  explain ID where a saga stands, what it waits for, what comes next, what could be done\n"
    "  state ID   all that is known of a saga, as of any record\n"
    "  tail       the latest 20 records of all sagas\n"
    "  verify     reads and checks every record, and names what is wrong\n"
    "  stats      counts, and the size of the log\n"
    "  export     all that the log says, as lines of JSON, without loss\n"
    "  import [FILE]   makes a log of an export, in a data directory that is empty or not there\n"
    "  backup [FILE]   the whole log, to a file that is not there yet, or standard output\n"
    "  restore [FILE]  makes a log of a backup, in a data directory that is empty or not there\n"
    "\n"
    "A TIME is 2024-06-11, 2024-06-11T09:30 or 2024-06-11T09:30:00, in UTC, or how long ago: 90s, "
    "15m, 2h, 7d.\n"
    "\n"
    "Exit status: 0 ok; 1 failed; 2 usage; 3 no log there, or not one saga with this ID; "
    "7 log, backup or export refused, or sagas in it out of service or rules broken (verify); "
    "9 the data directory belongs to a daemon.";

/* Long options without a letter. */
enum {
    KEY_STATUS = 256,
    KEY_SAGA,
    KEY_STEP,
    KEY_SINCE,
    KEY_UNTIL,
    KEY_START_KEY,
    KEY_ATTENTION,
    KEY_LIMIT,
    KEY_PAYLOADS,
    KEY_SECRETS,
    KEY_AT,
    KEY_RATE,
};

static const struct argp_option options[] = {
    {"data-dir", 'd', "DIR", 0, "The data directory of the daemon", 0},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 0},
    {"follow", 'f', NULL, 0, "tail: go on printing records as they are written", 0},
    {"status", KEY_STATUS, "STATUS", 0, "list: only sagas of this status", 1},
    {"saga", KEY_SAGA, "NAME", 0, "list, tail: only sagas of this definition", 1},
    {"step", KEY_STEP, "NAME", 0, "list: only sagas that are at this step now", 1},
    {"since", KEY_SINCE, "TIME", 0, "list: only sagas started then or later", 1},
    {"until", KEY_UNTIL, "TIME", 0, "list: only sagas started before then", 1},
    {"key", KEY_START_KEY, "KEY", 0, "list: only the saga that this start key has started", 1},
    {"attention", KEY_ATTENTION, NULL, 0, "list: only sagas that wait for a person", 1},
    {"limit", KEY_LIMIT, "N", 0,
     "list, tail: at most so many; 0: all (default 50, with --json all; tail: 20)", 1},
    {"payloads", KEY_PAYLOADS, NULL, 0, "show: with the whole payloads", 2},
    {"at", KEY_AT, "LSN", 0, "state: when this record was the last one", 2},
    {"rate", KEY_RATE, "BYTES", 0,
     "backup: reads and writes so many a second, or with K, M or G; 0: any (default: 32M)", 3},
    {"secrets", KEY_SECRETS, NULL, 0, "show, list, tail, state: do not mask what looks secret", 2},
    {0},
};

/* Of lines for people; programs get all. */
#define LIMIT_DEFAULT 50

/* Options that not every command takes. */
static const struct {
    int key;
    const char *name;
    unsigned takes;
} special[] = {
    {'f', "--follow", SAGA_TAKES_FOLLOW},
    {KEY_STATUS, "--status", SAGA_TAKES_FILTERS},
    {KEY_SAGA, "--saga", SAGA_TAKES_SAGA},
    {KEY_STEP, "--step", SAGA_TAKES_FILTERS},
    {KEY_SINCE, "--since", SAGA_TAKES_FILTERS},
    {KEY_UNTIL, "--until", SAGA_TAKES_FILTERS},
    {KEY_START_KEY, "--key", SAGA_TAKES_FILTERS},
    {KEY_ATTENTION, "--attention", SAGA_TAKES_FILTERS},
    {KEY_LIMIT, "--limit", SAGA_TAKES_LIMIT},
    {KEY_PAYLOADS, "--payloads", SAGA_TAKES_PAYLOADS},
    {KEY_SECRETS, "--secrets", SAGA_TAKES_SECRETS},
    {KEY_AT, "--at", SAGA_TAKES_AT},
    {KEY_RATE, "--rate", SAGA_TAKES_RATE},
};
#define SPECIAL_COUNT (sizeof special / sizeof special[0])

/* "list, show ID, tail" */
static const char *command_names(void) {
    static char names[256];
    size_t used = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const char *separator = i == 0 ? "" : i + 1 == COMMAND_COUNT ? " and " : ", ";
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s%s", separator,
                                 commands[i].name,
                                 (commands[i].takes & SAGA_TAKES_ID) != 0 ? " ID" : "");
    }
    return names;
}

static const struct saga_command *command_named(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool takes(const struct saga_session *session, unsigned what) {
    return (session->command->takes & what) != 0;
}

static void take_word(struct argp_state *state, char *word) {
    struct saga_session *session = state->input;
    if (state->arg_num == 0) {
        session->command = command_named(word);
        if (session->command == NULL) {
            argp_error(state, "there is no command '%s'; there are %s", word, command_names());
        }
    } else if (state->arg_num == 1 && takes(session, SAGA_TAKES_ID | SAGA_TAKES_FILE) &&
               *word != '\0') {
        session->argument = word;
    } else {
        argp_error(state, "'%s' is one word too many", word);
    }
}

static void check_special(struct argp_state *state) {
    const struct saga_session *session = state->input;
    for (size_t i = 0; i < SPECIAL_COUNT; i++) {
        if ((session->given & 1u << i) != 0 && !takes(session, special[i].takes)) {
            argp_error(state, "'%s' does not take %s", session->command->name, special[i].name);
        }
    }
}

static void check_line(struct argp_state *state) {
    struct saga_session *session = state->input;
    if (session->command == NULL) {
        argp_error(state, "which command? There are %s", command_names());
        return;
    }
    if (takes(session, SAGA_TAKES_ID) && session->argument == NULL) {
        argp_error(state, "'%s' takes the ID of a saga, or any part of it that no other has",
                   session->command->name);
    }
    check_special(state);
    if (!session->limited && !session->json) {
        session->limit = LIMIT_DEFAULT;
    }
    if (session->data_dir == NULL) {
        argp_error(state, "--data-dir DIR is missing: the directory that sagad was given");
    }
}

static int64_t moment_of(struct argp_state *state, const char *text) {
    int64_t ms = 0;
    if (!saga_moment_parse(text, saga_moment_now(), &ms)) {
        argp_error(state,
                   "'%s' is no time: 2024-06-11, 2024-06-11T09:30:00 and 90s, 15m, 2h, 7d "
                   "(ago) are",
                   text);
    }
    return ms;
}

static uint64_t number_of(struct argp_state *state, const char *text) {
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        argp_error(state, "'%s' is no number", text);
    }
    return number;
}

static void note_given(struct saga_session *session, int key) {
    for (size_t i = 0; i < SPECIAL_COUNT; i++) {
        session->given |= special[i].key == key ? 1u << i : 0;
    }
}

/* An option that `list` filters by; false: it is none. */
static bool parse_filter(int key, char *value, struct argp_state *state) {
    struct saga_session *session = state->input;
    struct saga_filter *filter = &session->filter;
    switch (key) {
    case KEY_STATUS:
        filter->status = value;
        return true;
    case KEY_SAGA:
        filter->saga = value;
        return true;
    case KEY_STEP:
        filter->step = value;
        return true;
    case KEY_SINCE:
        filter->since_ms = moment_of(state, value);
        return true;
    case KEY_UNTIL:
        filter->until_ms = moment_of(state, value);
        return true;
    case KEY_START_KEY:
        filter->key = value;
        return true;
    case KEY_ATTENTION:
        filter->attention = true;
        return true;
    case KEY_LIMIT:
        session->limit = number_of(state, value);
        session->limited = true;
        return true;
    default:
        return false;
    }
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct saga_session *session = state->input;
    note_given(session, key);
    if (parse_filter(key, value, state)) {
        return 0;
    }
    switch (key) {
    case 'd':
        session->data_dir = value;
        return 0;
    case 'j':
        session->json = true;
        return 0;
    case 'f':
        session->follow = true;
        return 0;
    case KEY_PAYLOADS:
        session->payloads = true;
        return 0;
    case KEY_AT:
        session->at_lsn = number_of(state, value);
        return 0;
    case KEY_SECRETS:
        session->secrets = true;
        return 0;
    case KEY_RATE:
        session->rate = value;
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

/* ---------------------------------------------------------------------- main */

static enum saga_error run(struct saga_session *session) {
    const struct saga_log_options log_options = {.data_dir = session->data_dir, .read_only = true};
    enum saga_error error = saga_output_open(&session->output, &session->fault);
    if (error == SAGA_OK && !takes(session, SAGA_TAKES_NO_LOG)) {
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

static int work(void *context) {
    struct saga_session *session = context;
    const struct sigaction ignoring = {.sa_handler = SIG_IGN};
    /* A reader who has seen enough (head) is told apart by the write's error, so that the log is
     * closed in order. */
    (void)sigaction(SIGPIPE, &ignoring, NULL);
    enum saga_error error = run(session);
    if (session->output.gone && error == SAGA_ERROR_FAILED) {
        error = SAGA_OK; /* nobody reads any more: no reason to complain */
    } else if (error != SAGA_OK) {
        (void)fprintf(stderr, "sagalog: %s\n", session->fault.text);
    }
    saga_output_close(&session->output);
    if (session->log != NULL) {
        saga_log_close(session->log);
    }
    return saga_error_exit_status(error);
}

int main(int argc, char **argv) {
    static const char version[] = "sagalog " SAGA_VERSION;
    const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "COMMAND [ID | FILE]", .doc = about};
    struct saga_session session = {.filter = {.until_ms = INT64_MAX}, .at_lsn = UINT64_MAX};
    argp_err_exit_status = 2;
    argp_program_version = version;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &session);
    const struct saga_cell cell = {
        .program = "sagalog",
        .data_dir = session.data_dir,
        /* What a log takes that is not there yet cannot be told from its size. */
        .endless = session.follow || session.command->run == saga_import_run,
    };
    return saga_cell_run(&cell, work, &session);
}
