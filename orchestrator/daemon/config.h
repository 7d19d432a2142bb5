/*
 * The daemon's configuration: flags, then the environment, then a file, then
 * defaults.
 *
 * Hides where a setting came from, and how each is spelled there: --map-size,
 * SAGAD_MAP_SIZE, `map_size:`. A value that is wrong is refused with its source.
 *
 * Threads: never changes after saga_config_load().
 */
#ifndef SAGA_CONFIG_H
#define SAGA_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "error.h"
#include "journal.h"
#include "retention.h"
#include "switches.h"

struct saga_config {
    bool dev;          /* everything in one process */
    char *data_dir;    /* NULL: none was given */
    char *definitions; /* a directory; NULL: none was given */
    char *listen;      /* unix:PATH or tcp:HOST:PORT; NULL: the socket in the data directory */
    enum saga_journal_format log_format;
    enum saga_journal_level log_level;
    uint64_t map_bytes;              /* the most that the log may ever take */
    uint32_t sagas_max;              /* open at a time */
    uint32_t resend_per_second;      /* commands sent again after a restart */
    uint64_t checkpoint_records;     /* a checkpoint after so many */
    struct saga_retention retention; /* of ended sagas, and start keys */
    int64_t verify_interval_ms;      /* all of the log is verified so often; 0: never */
    char *amqp;                      /* the broker's URL; NULL: none was given */
    char *amqp_password_file;        /* NULL: the URL has the password */
    char *amqp_ca_file;              /* amqps: whom to trust; NULL: the system's */
    char *amqp_certificate;          /* amqps: our own, with its key; NULL: none */
    char *amqp_key;
    bool amqp_persistent;                  /* commands */
    struct saga_amqp_address amqp_address; /* what --amqp says, with the password; where it is */
    struct saga_participant_switches switches; /* dev */
};

/* Reads the command line, the environment and the file. --help, --version and a
 * wrong command line end the process (status 0 or 2). Errors: USAGE (a value of
 * the command line), INVALID (of the environment or the file; what is wrong in a
 * file stands on standard error by then), NOT_FOUND (no such file). */
SAGA_CHECKED enum saga_error saga_config_load(struct saga_config *config, int argc, char **argv,
                                              struct saga_fault *fault);
void saga_config_free(struct saga_config *config);

#endif
