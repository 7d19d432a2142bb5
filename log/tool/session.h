/*
 * A session: one command of the tool, and the log it is asked of.
 *
 * Threads: one.
 */
#ifndef SAGA_SESSION_H
#define SAGA_SESSION_H

#include "log.h"
#include "output.h"

struct saga_session {
    const char *data_dir;
    const struct saga_command *command;
    const char *argument; /* NULL: the command takes none */
    bool json;
    bool follow;
    const char *rate; /* NULL: as by default */
    struct saga_log *log;
    struct saga_output output;
    struct saga_fault fault; /* of whatever failed */
};

/* A word of the command line, and what it does. `run` returns with the fault
 * filled where it fails; what it printed is flushed after it. */
struct saga_command {
    const char *name;
    bool takes_id;
    bool takes_file;
    bool needs_no_log;
    bool may_follow;
    enum saga_error (*run)(struct saga_session *session);
};

enum saga_error saga_list_run(struct saga_session *session);
enum saga_error saga_show_run(struct saga_session *session);
enum saga_error saga_tail_run(struct saga_session *session);
enum saga_error saga_verify_run(struct saga_session *session);
enum saga_error saga_stats_run(struct saga_session *session);
enum saga_error saga_export_run(struct saga_session *session);
enum saga_error saga_backup_run(struct saga_session *session);
enum saga_error saga_restore_log_run(struct saga_session *session);

#endif
