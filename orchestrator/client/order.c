#include "order.h"

#include <argp.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "spelling.h"

const char *argp_program_version = "sagactl " SAGA_VERSION;

/* Options have no letters: what is written in scripts should say what it does. */
enum key {
    KEY_SERVER = 0x100,
    KEY_DATA_DIR,
    KEY_JSON,
    KEY_INPUT,
    KEY_KEY,
    KEY_WAIT,
    KEY_TIMEOUT,
    KEY_REASON,
    KEY_STEP,
    KEY_VERDICT,
    KEY_CONTENT,
    KEY_STATUS,
    KEY_SAGA,
    KEY_LIMIT,
};

static void read_timeout(struct argp_state *state, struct saga_order *order, const char *text) {
    if (!saga_duration_parse(text, strlen(text), &order->timeout_ms)) {
        argp_error(state, "--timeout %s: expected a duration such as 500ms, 30s or 5m", text);
    }
}

static void read_limit(struct argp_state *state, struct saga_order *order, const char *text) {
    char *end;
    errno = 0;
    const unsigned long long limit = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || limit == 0) {
        argp_error(state, "--limit %s: expected a number from 1 on", text);
    }
    order->limit = limit;
}

/* ------------------------------------------------------------- common options */

static const struct argp_option common_options[] = {
    {"server", KEY_SERVER, "unix:PATH|http://HOST:PORT", 0,
     "The daemon's address; by default what SAGAD_SERVER says", 0},
    {"data-dir", KEY_DATA_DIR, "DIR", 0,
     "The daemon's data directory, whose socket is used; by default what SAGAD_DATA_DIR says", 0},
    {"json", KEY_JSON, NULL, 0, "Print JSON, for programs", 0},
    {0},
};

static error_t parse_common(int key, char *text, struct argp_state *state) {
    struct saga_order *order = state->input;
    switch (key) {
    case KEY_SERVER:
        order->server = text;
        return 0;
    case KEY_DATA_DIR:
        order->data_dir = text;
        return 0;
    case KEY_JSON:
        order->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp common_argp = {.options = common_options, .parser = parse_common};
static const struct argp_child common_child[] = {{&common_argp, 0, NULL, 2}, {0}};

/* ----------------------------------------------------------------- each command */

static error_t parse_options(int key, char *text, struct argp_state *state) {
    struct saga_order *order = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = order;
        return 0;
    case KEY_INPUT:
        order->input = text;
        return 0;
    case KEY_KEY:
        order->key = text;
        return 0;
    case KEY_WAIT:
        order->wait = true;
        return 0;
    case KEY_TIMEOUT:
        read_timeout(state, order, text);
        return 0;
    case KEY_REASON:
        order->reason = text;
        return 0;
    case KEY_STEP:
        order->step = text;
        return 0;
    case KEY_VERDICT:
        order->verdict = text;
        return 0;
    case KEY_CONTENT:
        order->content = text;
        return 0;
    case KEY_STATUS:
        order->status = text;
        return 0;
    case KEY_SAGA:
        order->saga = text;
        return 0;
    case KEY_LIMIT:
        read_limit(state, order, text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* One word, and no more. */
static error_t parse_one(int key, char *text, struct argp_state *state, const char **word,
                         const char *what) {
    if (key == ARGP_KEY_ARG && state->arg_num == 0) {
        *word = text;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "'%s' is one word too many", text);
    }
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "which %s?", what);
    }
    return parse_options(key, text, state);
}

static error_t parse_start(int key, char *text, struct argp_state *state) {
    struct saga_order *order = state->input;
    if (key == ARGP_KEY_SUCCESS && order->input == NULL) {
        argp_error(state, "--input is missing: the saga's input, a JSON object or @FILE; {} if it "
                          "needs none");
    }
    if (key == ARGP_KEY_SUCCESS && order->timeout_ms >= 0 && !order->wait) {
        argp_error(state, "--timeout is for --wait");
    }
    return parse_one(key, text, state, &order->saga, "saga");
}

static error_t parse_id(int key, char *text, struct argp_state *state) {
    struct saga_order *order = state->input;
    const error_t error = parse_one(key, text, state, &order->id, "saga's id, or a part of it");
    if (key == ARGP_KEY_ARG && order->id == text &&
        (*text == '\0' || strlen(text) > 36 ||
         strspn(text, "0123456789abcdefABCDEF-") != strlen(text))) {
        argp_error(state, "'%s' is no part of an id: those have the digits 0-9 and a-f", text);
    }
    return error;
}

/* What is done by hand says to what, and why. */
static error_t parse_deed(int key, char *text, struct argp_state *state) {
    const struct saga_order *order = state->input;
    if (key == ARGP_KEY_SUCCESS && order->step == NULL) {
        argp_error(state, "--step is missing: the name of the step (see sagactl get)");
    }
    if (key == ARGP_KEY_SUCCESS && (order->reason == NULL || *order->reason == '\0')) {
        argp_error(state, "--reason is missing: what was seen, or done, and where; it is recorded");
    }
    return parse_id(key, text, state);
}

static error_t parse_resolve(int key, char *text, struct argp_state *state) {
    const struct saga_order *order = state->input;
    if (key == ARGP_KEY_SUCCESS &&
        (order->verdict == NULL ||
         (strcmp(order->verdict, "done") != 0 && strcmp(order->verdict, "rejected") != 0))) {
        argp_error(state, "--verdict is done or rejected: did the step take effect?");
    }
    if (key == ARGP_KEY_SUCCESS && order->content != NULL && order->verdict != NULL &&
        strcmp(order->verdict, "done") != 0) {
        argp_error(state, "--content is the result of a step that is done");
    }
    return parse_deed(key, text, state);
}

static error_t parse_none(int key, char *text, struct argp_state *state) {
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "'%s' is one word too many", text);
    }
    return parse_options(key, text, state);
}

static error_t parse_files(int key, char *text, struct argp_state *state) {
    struct saga_order *order = state->input;
    if (key == ARGP_KEY_ARGS) {
        order->files = state->argv + state->next;
        return 0;
    }
    if (key == ARGP_KEY_ARG) { /* all of them at once, please */
        return ARGP_ERR_UNKNOWN;
    }
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "which files?");
    }
    return parse_options(key, text, state);
}

static const struct argp_option start_options[] = {
    {"input", KEY_INPUT, "JSON|@FILE", 0,
     "The saga's input, a JSON object; @FILE reads it from FILE, @- from standard input", 0},
    {"key", KEY_KEY, "KEY", 0,
     "The start key: the same key with the same input is the same saga. Without it each start "
     "makes "
     "a new one",
     0},
    {"wait", KEY_WAIT, NULL, 0, "Wait for the saga's end; the exit status tells which it was", 0},
    {"timeout", KEY_TIMEOUT, "DURATION", 0,
     "Wait no longer than that, such as 500ms, 30s or 5m; by default without end", 0},
    {0},
};

static const struct argp_option list_options[] = {
    {"status", KEY_STATUS, "STATUS", 0,
     "Only those: running, compensating, completed, compensated, completed_manually, "
     "compensated_manually, inconsistent, parked, quarantined",
     0},
    {"saga", KEY_SAGA, "NAME", 0, "Only those of this definition", 0},
    {"limit", KEY_LIMIT, "N", 0, "At most so many; by default 50", 0},
    {0},
};

static const struct argp_option act_options[] = {
    {"reason", KEY_REASON, "TEXT", 0, "Why; it is recorded in the log", 0},
    {0},
};

#define STEP_OPTION                                                                                \
    { "step", KEY_STEP, "NAME", 0, "The step's name (required)", 0 }
#define REASON_OPTION                                                                              \
    { "reason", KEY_REASON, "TEXT", 0, "Why; it is recorded in the log (required)", 0 }

static const struct argp_option deed_options[] = {STEP_OPTION, REASON_OPTION, {0}};

static const struct argp_option resolve_options[] = {
    STEP_OPTION,
    {"verdict", KEY_VERDICT, "done|rejected", 0, "Whether it took effect (required)", 0},
    {"content", KEY_CONTENT, "JSON|@FILE", 0,
     "Of a step that is done: its result, which is merged into the saga's data as a reply's is", 0},
    REASON_OPTION,
    {0},
};

static const struct {
    const char *name;
    char *title; /* of its --help */
    const char *line;
    enum saga_order_command command;
    struct argp argp;
} commands[] = {
    {"start",
     (char[]){"sagactl start"},
     "start SAGA --input JSON|@FILE",
     SAGA_ORDER_START,
     {start_options, parse_start, "SAGA",
      "Starts a saga, and prints its id once it is durable."
      "\vExit status: 0 started, or with --wait completed, be it by hand; 5 compensated, likewise; "
      "6 parked, "
      "quarantined or inconsistent; "
      "124 not ended in time, and it goes on.",
      common_child, NULL, NULL}},
    {"get",
     (char[]){"sagactl get"},
     "get ID",
     SAGA_ORDER_GET,
     {NULL, parse_id, "ID", "Shows one saga. ID is any part of its id that only one has.",
      common_child, NULL, NULL}},
    {"list",
     (char[]){"sagactl list"},
     "list",
     SAGA_ORDER_LIST,
     {list_options, parse_none, NULL, "Lists sagas, the latest first.", common_child, NULL, NULL}},
    {"cancel",
     (char[]){"sagactl cancel"},
     "cancel ID",
     SAGA_ORDER_CANCEL,
     {act_options, parse_id, "ID",
      "Makes a saga go backward: what it has done is compensated. While its pivot is in doubt the "
      "wish waits for the pivot's verdict; once it is passed it is refused.",
      common_child, NULL, NULL}},
    {"retry",
     (char[]){"sagactl retry"},
     "retry ID",
     SAGA_ORDER_RETRY,
     {act_options, parse_id, "ID",
      "Ends a saga's waiting between two attempts. A parked saga gets a fresh budget for the "
      "command that parked it.",
      common_child, NULL, NULL}},
    {"resolve",
     (char[]){"sagactl resolve"},
     "resolve ID --step NAME --verdict done|rejected --reason TEXT",
     SAGA_ORDER_RESOLVE,
     {resolve_options, parse_resolve, "ID",
      "Gives the verdict of a step that is parked in doubt. It decides the direction and no more: "
      "a step that may have run is still compensated when the saga goes back. At a pivot whose "
      "command is out, rejected waits for the participant's fence, or its verdict.",
      common_child, NULL, NULL}},
    {"mark-compensated",
     (char[]){"sagactl mark-compensated"},
     "mark-compensated ID --step NAME --reason TEXT",
     SAGA_ORDER_MARK_COMPENSATED,
     {deed_options, parse_deed, "ID",
      "Settles a debt: you have made sure that the step's effect is undone. Its participant is "
      "told "
      "to close the step first, where it keeps a fence; then the saga goes on, and ends "
      "compensated_manually.",
      common_child, NULL, NULL}},
    {"write-off",
     (char[]){"sagactl write-off"},
     "write-off ID --step NAME --reason TEXT",
     SAGA_ORDER_WRITE_OFF,
     {deed_options, parse_deed, "ID",
      "Settles a debt by giving it up: the step's effect stays. The saga goes on as after "
      "mark-compensated, and ends inconsistent.",
      common_child, NULL, NULL}},
    {"validate",
     (char[]){"sagactl validate"},
     "validate FILE...",
     SAGA_ORDER_VALIDATE,
     {NULL, parse_files, "FILE...",
      "Checks definitions, and prints every error with its place. Needs no daemon.", common_child,
      NULL, NULL}},
    {"stats",
     (char[]){"sagactl stats"},
     "stats",
     SAGA_ORDER_STATS,
     {NULL, parse_none, NULL, "Shows every counter of the daemon.", common_child, NULL, NULL}},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* -------------------------------------------------------------------- the whole */

/* What stands before the command, and where that is. */
struct outer {
    struct saga_order *order;
    int at;
};

static error_t parse_outer(int key, char *text, struct argp_state *state) {
    struct outer *outer = state->input;
    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = outer->order;
        return 0;
    case ARGP_KEY_ARG: /* the command; what follows is its own */
        outer->at = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which command?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char outer_doc[] =
    "Starts, watches and steers the sagas of a running sagad."
    "\vCommands:\n\n"
    "  start SAGA --input JSON|@FILE   start a saga\n"
    "  get ID                          show one\n"
    "  list                            list them\n"
    "  cancel ID                       make one go backward\n"
    "  retry ID                        end a waiting now\n"
    "  resolve ID --step NAME ...      give the verdict of a step in doubt\n"
    "  mark-compensated ID --step NAME ...  a debt is paid: settle it\n"
    "  write-off ID --step NAME ...    a debt is given up: settle it\n"
    "  validate FILE...                check definitions\n"
    "  stats                           show every counter\n\n"
    "`sagactl COMMAND --help' says more. An ID is any part of a saga's id that only one saga has.";

static size_t find_command(struct argp_state *state, const char *name) {
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    const char *near = saga_spelling_nearest(name, names, COMMAND_COUNT);
    argp_error(state, "there is no command '%s'%s%s%s", name,
               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
               near != NULL ? "'?" : "");
    exit(2); /* argp_error does not return */
}

void saga_order_parse(struct saga_order *order, int argc, char **argv) {
    static const struct argp outer_argp = {
        NULL, parse_outer, "COMMAND [ARGUMENT...]", outer_doc, common_child, NULL, NULL};
    static char name[] = "sagactl";
    struct argp_state state = {
        .root_argp = &outer_argp, .name = name, .err_stream = stderr, .out_stream = stdout};
    struct outer outer = {.order = order};
    *order = (struct saga_order){.timeout_ms = -1};
    argp_err_exit_status = 2; /* docs/protocol.md */
    error_t error = argp_parse(&outer_argp, argc, argv, ARGP_IN_ORDER, NULL, &outer);
    if (error == 0) {
        const int at = outer.at;
        assert(at > 0 && at < argc);
        const size_t i = find_command(&state, argv[at]);
        order->command = commands[i].command;
        argv[at] = commands[i].title;
        error = argp_parse(&commands[i].argp, argc - at, argv + at, 0, NULL, order);
    }
    if (error != 0) {
        argp_failure(&state, 1, error, "the command line cannot be read");
        exit(1);
    }
}
