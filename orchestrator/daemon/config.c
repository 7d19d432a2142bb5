#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "config_file.h"
#include "setting.h"

#define MAP_BYTES_DEFAULT          (UINT64_C(16) << 30)
#define SAGAS_MAX_DEFAULT          1000000
#define RESEND_PER_SECOND_DEFAULT  20000
#define CHECKPOINT_RECORDS_DEFAULT 1000000
#define VERIFY_INTERVAL_DEFAULT_MS 86400000

/* An empty variable is as good as none. */
static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static enum saga_error read_file(struct saga_config *config, const struct saga_arguments *arguments,
                                 struct saga_fault *fault) {
    const char *path = arguments->config_file;
    path = path != NULL ? path : variable("SAGAD_CONFIG");
    return path == NULL ? SAGA_OK : saga_config_file_read(config, path, fault);
}

static enum saga_error read_environment(struct saga_config *config, struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (int i = 1; i <= SAGA_SETTING_COUNT && error == SAGA_OK; i++) {
        const enum saga_setting setting = (enum saga_setting)i;
        const char *name = saga_setting_variable(setting);
        const char *text = variable(name);
        if (text != NULL) {
            error = saga_setting_set(config, setting, text, name, SAGA_ERROR_INVALID, fault);
        }
    }
    return error;
}

static enum saga_error read_arguments(struct saga_config *config,
                                      const struct saga_arguments *arguments,
                                      struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (int i = 1; i <= SAGA_SETTING_COUNT && error == SAGA_OK; i++) {
        const enum saga_setting setting = (enum saga_setting)i;
        char name[64];
        (void)snprintf(name, sizeof name, "--%s", saga_setting_flag(setting));
        if (arguments->texts[i] != NULL) {
            error = saga_setting_set(config, setting, arguments->texts[i], name, SAGA_ERROR_USAGE,
                                     fault);
        }
    }
    config->switches = arguments->switches;
    return error;
}

/* Wherever the URL came from, it is not repeated: it may have a password in it. */
static enum saga_error find_broker(struct saga_config *config, struct saga_fault *fault) {
    struct saga_fault wrong;
    if (config->amqp == NULL) {
        return SAGA_OK;
    }
    enum saga_error error = saga_amqp_address_parse(&config->amqp_address, config->amqp, &wrong);
    if (error == SAGA_OK && config->amqp_password_file != NULL) {
        error = saga_amqp_address_read_password(&config->amqp_address, config->amqp_password_file,
                                                &wrong);
    }
    if (error == SAGA_OK && (config->amqp_certificate == NULL) != (config->amqp_key == NULL)) {
        error = saga_fault_set(&wrong, SAGA_ERROR_USAGE,
                               "a certificate needs its key, and a key its certificate: give both "
                               "--amqp-certificate and --amqp-key");
    }
    return error == SAGA_OK ? SAGA_OK
                            : saga_fault_set(fault, SAGA_ERROR_USAGE,
                                             "the broker (--amqp, or AMQP_URL): %s", wrong.text);
}

enum saga_error saga_config_load(struct saga_config *config, int argc, char **argv,
                                 struct saga_fault *fault) {
    struct saga_arguments arguments;
    saga_arguments_parse(&arguments, argc, argv);
    *config = (struct saga_config){
        .dev = arguments.dev,
        .log_format = SAGA_JOURNAL_TEXT,
        .log_level = arguments.dev ? SAGA_JOURNAL_DEBUG : SAGA_JOURNAL_INFO,
        .map_bytes = MAP_BYTES_DEFAULT,
        .sagas_max = SAGAS_MAX_DEFAULT,
        .resend_per_second = RESEND_PER_SECOND_DEFAULT,
        .checkpoint_records = CHECKPOINT_RECORDS_DEFAULT,
        .retention = saga_retention_default,
        .verify_interval_ms = VERIFY_INTERVAL_DEFAULT_MS,
    };
    /* The weakest first: each puts its own in the place of what was there. */
    enum saga_error error = read_file(config, &arguments, fault);
    if (error == SAGA_OK) {
        error = read_environment(config, fault);
    }
    if (error == SAGA_OK) {
        error = read_arguments(config, &arguments, fault);
    }
    if (error == SAGA_OK && !config->dev) {
        error = find_broker(config, fault);
    }
    if (error == SAGA_OK && !config->dev && config->data_dir == NULL) {
        error = saga_fault_set(fault, SAGA_ERROR_USAGE,
                               "--data-dir is missing: where is the log to be kept? (To try it out "
                               "without: sagad dev)");
    }
    return error;
}

void saga_config_free(struct saga_config *config) {
    free(config->data_dir);
    free(config->definitions);
    free(config->listen);
    free(config->amqp);
    free(config->amqp_password_file);
    free(config->amqp_ca_file);
    free(config->amqp_certificate);
    free(config->amqp_key);
}
