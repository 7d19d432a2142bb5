/*
 * One setting: its names, and what its text may say.
 *
 * Threads: no state.
 */
#ifndef SAGA_SETTING_H
#define SAGA_SETTING_H

#include "config.h"

enum saga_setting {
    SAGA_SETTING_DATA_DIR = 1,
    SAGA_SETTING_DEFINITIONS,
    SAGA_SETTING_LISTEN,
    SAGA_SETTING_LOG_FORMAT,
    SAGA_SETTING_LOG_LEVEL,
    SAGA_SETTING_MAP_SIZE,
    SAGA_SETTING_SAGAS_MAX,
    SAGA_SETTING_RESEND_PER_SECOND,
    SAGA_SETTING_CHECKPOINT_RECORDS,
    SAGA_SETTING_RETENTION,
    SAGA_SETTING_VERIFY_INTERVAL,
    SAGA_SETTING_AMQP,
    SAGA_SETTING_AMQP_PASSWORD_FILE,
    SAGA_SETTING_AMQP_CA_FILE,
    SAGA_SETTING_AMQP_CERTIFICATE,
    SAGA_SETTING_AMQP_KEY,
    SAGA_SETTING_AMQP_PERSISTENT,
};
#define SAGA_SETTING_COUNT 17

/* "data-dir": the flag without its dashes. */
const char *saga_setting_flag(enum saga_setting setting);
/* "SAGAD_DATA_DIR" */
const char *saga_setting_variable(enum saga_setting setting);
/* "data_dir": the key in a file. 0: there is none of this name. */
const char *saga_setting_key(enum saga_setting setting);
enum saga_setting saga_setting_of_key(const char *key);
/* For --help. */
const char *saga_setting_argument(enum saga_setting setting);
const char *saga_setting_doc(enum saga_setting setting);

/* Puts a text into the configuration; copies it. `source` names where it came
 * from, for the fault. Errors: `wrong` (USAGE or INVALID), with what is expected. */
SAGA_CHECKED enum saga_error saga_setting_set(struct saga_config *config, enum saga_setting setting,
                                              const char *text, const char *source,
                                              enum saga_error wrong, struct saga_fault *fault);

#endif
