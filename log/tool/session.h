/*
 * A session: one command of the tool, and the log it is asked of.
 *
 * Threads: one.
 */
#ifndef SAGA_SESSION_H
#define SAGA_SESSION_H

#include "log.h"
#include "output.h"

/* What a command takes beside --data-dir and --json. */
enum {
    SAGA_TAKES_ID = 1 << 0,
    SAGA_TAKES_FOLLOW = 1 << 1,
    SAGA_TAKES_FILTERS = 1 << 2, /* --status, --step, --since, --until, --key, --attention */
    SAGA_TAKES_SAGA = 1 << 3,
    SAGA_TAKES_LIMIT = 1 << 4,
    SAGA_TAKES_AT = 1 << 5,
    SAGA_TAKES_PAYLOADS = 1 << 6,
    SAGA_TAKES_SECRETS = 1 << 7,
    SAGA_TAKES_FILE = 1 << 8,
    SAGA_TAKES_RATE = 1 << 9,
    SAGA_TAKES_NO_LOG = 1 << 10, /* there is none yet */
};

/* Which sagas `list` is to show; NULL, 0 and false: any. */
struct saga_filter {
    const char *status;
    const char *saga; /* its definition's name */
    const char *step;
    const char *key;
    int64_t since_ms;
    int64_t until_ms; /* INT64_MAX: any */
    bool attention;
};

struct saga_session {
    const char *data_dir;
    const struct saga_command *command;
    const char *argument; /* NULL: the command takes none */
    unsigned given;       /* of the options that not every command takes: bits, by their order */
    bool json;
    bool follow;
    bool payloads; /* show them */
    bool secrets;  /* do not mask them */
    struct saga_filter filter;
    uint64_t limit;   /* 0: no limit */
    bool limited;     /* it was given */
    uint64_t at_lsn;  /* UINT64_MAX: the end */
    const char *rate; /* NULL: as by default */
    struct saga_log *log;
    struct saga_output output;
    struct saga_fault fault; /* of whatever failed */
};

/* A word of the command line, and what it does. `run` returns with the fault
 * filled where it fails; what it printed is flushed after it. */
struct saga_command {
    const char *name;
    unsigned takes;
    enum saga_error (*run)(struct saga_session *session);
};

enum saga_error saga_list_run(struct saga_session *session);
enum saga_error saga_show_run(struct saga_session *session);
enum saga_error saga_explain_run(struct saga_session *session);
enum saga_error saga_state_run(struct saga_session *session);
enum saga_error saga_tail_run(struct saga_session *session);
enum saga_error saga_verify_run(struct saga_session *session);
enum saga_error saga_stats_run(struct saga_session *session);
enum saga_error saga_export_run(struct saga_session *session);
enum saga_error saga_backup_run(struct saga_session *session);
enum saga_error saga_restore_log_run(struct saga_session *session);
enum saga_error saga_import_run(struct saga_session *session);

/* Finds the saga that session->argument means, and has `teller` print its story. */
struct saga_story;
typedef enum saga_error saga_session_teller(struct saga_session *session,
                                            struct saga_log_reader *reader,
                                            struct saga_story *story);
enum saga_error saga_session_tell(struct saga_session *session, saga_session_teller *teller);

#endif
