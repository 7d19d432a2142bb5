#include "arguments.h"

#include <argp.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEY_CONFIG 0x100
#define KEY_BASE   0x101 /* beyond the letters, and below the switches' keys */

const char *argp_program_version = "sagad " SAGA_VERSION;

static struct argp_option options[SAGA_SETTING_COUNT + 2]; /* and --config, and the end */

static const struct argp_child dev_children[] = {
    {&saga_participant_switches_argp, 0, "To see what failures look like:", 1},
    {0},
};

static const char serve_doc[] =
    "Runs sagas: sequences of commands to other services, each with a compensation that takes it "
    "back, on a durable log. Ends after SIGTERM or SIGINT."
    "\vEach option but --config can also be given in the environment (SAGAD_DATA_DIR for "
    "--data-dir) or in the file (data_dir:).\n\n"
    "`sagad dev' runs everything in one process, to try it: see `sagad dev --help'.";

static const char dev_doc[] =
    "Runs everything in one process, to try it: the daemon, and the services parking, booking and "
    "billing, whose databases are in the data directory. Without --data-dir that is a new "
    "temporary one. The saga `booking' is built in."
    "\vIt prints what to try next.";

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    struct saga_arguments *arguments = state->input;
    if (key == ARGP_KEY_INIT) {
        if (arguments->dev) {
            state->child_inputs[0] = &arguments->switches;
        }
        return 0;
    }
    if (key == KEY_CONFIG) {
        arguments->config_file = argument;
        return 0;
    }
    if (key > KEY_BASE && key <= KEY_BASE + SAGA_SETTING_COUNT) {
        arguments->texts[key - KEY_BASE] = argument;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        argp_error(state,
                   "'%s' is not expected here: sagad takes options, and 'dev' as its first word",
                   argument);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void list_options(void) {
    for (int setting = 1; setting <= SAGA_SETTING_COUNT; setting++) {
        options[setting - 1] = (struct argp_option){
            .name = saga_setting_flag((enum saga_setting)setting),
            .key = KEY_BASE + setting,
            .arg = saga_setting_argument((enum saga_setting)setting),
            .doc = saga_setting_doc((enum saga_setting)setting),
        };
    }
    options[SAGA_SETTING_COUNT] = (struct argp_option){
        .name = "config",
        .key = KEY_CONFIG,
        .arg = "FILE",
        .doc = "Read settings from FILE; the environment and options win over it",
    };
}

void saga_arguments_parse(struct saga_arguments *arguments, int argc, char **argv) {
    static char dev_name[] = "sagad dev";
    memset(arguments, 0, sizeof *arguments);
    arguments->dev = argc > 1 && strcmp(argv[1], "dev") == 0;
    list_options();
    struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = arguments->dev ? dev_doc : serve_doc,
        .children = arguments->dev ? dev_children : NULL,
    };
    argp_err_exit_status = 2; /* docs/protocol.md */
    if (arguments->dev) {
        argv[1] = dev_name;
        argc--;
        argv++;
    }
    const error_t error = argp_parse(&argp, argc, argv, 0, NULL, arguments);
    if (error != 0) {
        argp_failure(NULL, 1, error, "the command line cannot be read");
        exit(1);
    }
}
