/*
 * sagalog: reads the log of sagad, while it runs or when it is dead, and
 * changes nothing.
 */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "chain.h"
#include "ids.h"
#include "json.h"
#include "recall.h"
#include "record_json.h"
#include "trace.h"
#include "view.h"

#define TAIL_RECORDS 20

/* What the command line asks for, and the log it is asked of. */
struct session {
    const char *data_dir;
    const char *verb;
    const char *argument;
    bool json;
    bool follow;
    struct saga_log *log;
    struct saga_recall *recall;
    uint64_t problems; /* sagas out of service */
    struct saga_fault fault;
};

/* ------------------------------------------------------------------ opening */

static void note_quarantine(void *context, const struct saga_id *id, const char *why) {
    struct session *session = context;
    char text[SAGA_ID_TEXT_SIZE];
    session->problems++;
    if (strcmp(session->verb, "verify") == 0) {
        (void)fprintf(stderr, "sagalog: saga %s: %s\n", saga_id_text(id, text), why);
    }
}

static enum saga_error open_log(struct session *session) {
    const struct saga_log_options options = {.data_dir = session->data_dir, .read_only = true};
    return saga_log_open(&session->log, &options, &session->fault);
}

/* Everything the log says, as a restart would see it. */
static enum saga_error recall(struct session *session) {
    struct saga_log_usage usage;
    saga_log_usage(session->log, &usage);
    const struct saga_recall_options options = {
        .limits =
            {
                .sagas_max = (uint32_t)(usage.records < 1024       ? 1024
                                        : usage.records < 1u << 28 ? usage.records
                                                                   : 1u << 28),
                .plans_max = 1u << 16,
                .participants_max = UINT16_MAX - 1,
                .resend_per_second = 1,
            },
        .quarantined = note_quarantine,
        .context = session,
    };
    return saga_recall_open(&session->recall, session->log, &options, &session->fault);
}

/* ----------------------------------------------------------------- printing */

/* One line of JSON; takes the reference. */
static enum saga_error print_json(struct session *session, json_t *json) {
    size_t size = 0;
    char *text = json != NULL ? saga_json_text(json, &size) : NULL;
    json_decref(json);
    if (text == NULL) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "no memory");
    }
    bool written = fwrite(text, 1, size, stdout) == size && fputc('\n', stdout) == '\n';
    free(text);
    return written ? SAGA_OK
                   : saga_fault_set(&session->fault, SAGA_ERROR_FAILED,
                                    "cannot write to standard output");
}

/* "3.2 s", "4 min 5 s": how long something took. */
static char *span_text(int64_t ms, char *text, size_t size) {
    if (ms < 1000) {
        (void)snprintf(text, size, "%d ms", (int)ms);
    } else if (ms < 60000) {
        (void)snprintf(text, size, "%.1f s", (double)ms / 1000);
    } else if (ms < 3600000) {
        (void)snprintf(text, size, "%d min %d s", (int)(ms / 60000), (int)(ms % 60000 / 1000));
    } else {
        (void)snprintf(text, size, "%lld h %d min", (long long)(ms / 3600000),
                       (int)(ms % 3600000 / 60000));
    }
    return text;
}

/* ----------------------------------------------------------------- one saga */

/* A saga's records and their fold, with what is needed to speak of them. */
struct story {
    struct saga_log_reader *reader;
    struct saga_chain chain;
    struct saga *saga; /* NULL: makes no story */
    const struct saga_definition *definition;
    const struct saga_catalog_entry *entry;
};

static void story_close(struct story *story) {
    saga_chain_fini(&story->chain);
    if (story->reader != NULL) {
        saga_log_reader_close(story->reader);
    }
    free(story->saga);
}

static enum saga_error story_open(struct story *story, struct session *session,
                                  const struct saga_catalog_entry *entry) {
    *story = (struct story){
        .entry = entry,
        .definition = saga_registry_at(session->recall->registry, entry->definition_lsn),
    };
    enum saga_error error = saga_log_reader_open(session->log, &story->reader, &session->fault);
    if (error == SAGA_OK) {
        error = saga_chain_read(&story->chain, story->reader, &entry->id, entry->last_lsn,
                                &session->fault);
    }
    if (error == SAGA_OK && story->definition != NULL) {
        /* One that cannot be folded is shown as far as it goes. */
        (void)!saga_chain_fold(&story->chain, &story->definition->plan, &story->saga, NULL);
    }
    if (error != SAGA_OK) {
        story_close(story);
    }
    return error;
}

static json_t *story_json(const struct story *story) {
    const struct saga_view view = {
        .id = story->entry->id,
        .chain = &story->chain,
        .saga = story->saga,
        .definition = story->definition,
        .status = story->entry->status,
    };
    return saga_view_json(&view);
}

/* --------------------------------------------------------------------- list */

static const char *reason_of(const struct saga *saga) {
    if (saga == NULL || (saga->parked == 0 && saga->reason == 0)) {
        return "";
    }
    return saga_reason_name(saga->parked != 0 ? saga->parked : saga->reason);
}

static enum saga_error list_one(struct session *session, const struct saga_catalog_entry *entry) {
    struct story story;
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    char took[32];
    enum saga_error error = story_open(&story, session, entry);
    if (error != SAGA_OK) {
        return error;
    }
    if (session->json) {
        error = print_json(session, story_json(&story));
    } else {
        const struct saga_record *first = &story.chain.records[0];
        const struct saga_record *last = &story.chain.records[story.chain.count - 1];
        (void)printf("%-10s %-20.20s %-20s %-18s %-24s %s\n",
                     saga_id_text(&entry->id, id) + SAGA_ID_TEXT_SIZE - 9,
                     story.definition != NULL ? story.definition->name : "?", entry->status,
                     reason_of(story.saga), saga_view_time(first->at_ms, time),
                     span_text(last->at_ms - first->at_ms, took, sizeof took));
    }
    story_close(&story);
    return error;
}

static enum saga_error run_list(struct session *session) {
    enum saga_error error = recall(session);
    if (error == SAGA_OK && !session->json) {
        (void)printf("%-10s %-20s %-20s %-18s %-24s %s\n", "ID", "SAGA", "STATUS", "REASON",
                     "STARTED", "TOOK");
    }
    uint64_t count = error == SAGA_OK ? saga_catalog_count(session->recall->catalog) : 0;
    for (uint64_t i = count; i > 0 && error == SAGA_OK; i--) {
        error = list_one(session, saga_catalog_at(session->recall->catalog, i));
    }
    return error;
}

/* --------------------------------------------------------------------- show */

/* The only saga whose id has `part` in it. */
static enum saga_error find_part(struct session *session, const char *part,
                                 const struct saga_catalog_entry **found) {
    const struct saga_catalog *catalog = session->recall->catalog;
    char id[SAGA_ID_TEXT_SIZE];
    char candidates[4 * SAGA_ID_TEXT_SIZE] = "";
    uint64_t matches = 0;
    for (uint64_t i = saga_catalog_count(catalog); i > 0; i--) {
        const struct saga_catalog_entry *entry = saga_catalog_at(catalog, i);
        if (strstr(saga_id_text(&entry->id, id), part) == NULL) {
            continue;
        }
        *found = entry;
        if (matches++ < 3) {
            (void)strcat(strcat(candidates, " "), id);
        }
    }
    if (matches == 0) {
        return saga_fault_set(&session->fault, SAGA_ERROR_NOT_FOUND,
                              "no saga in this log has '%s' in its id", part);
    }
    if (matches > 1) {
        return saga_fault_set(&session->fault, SAGA_ERROR_INVALID,
                              "%llu sagas have '%s' in their id:%s%s. Give more of it.",
                              (unsigned long long)matches, part, candidates,
                              matches > 3 ? " ..." : "");
    }
    return SAGA_OK;
}

static void print_header(const struct story *story) {
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    char took[32];
    const struct saga_record *first = &story->chain.records[0];
    const struct saga_record *last = &story->chain.records[story->chain.count - 1];
    (void)printf("saga %s  %s", saga_id_text(&story->entry->id, id),
                 story->definition != NULL ? story->definition->name : "?");
    if (story->definition != NULL) {
        (void)printf(" version %u", story->definition->version);
    }
    (void)printf("\n%s", story->entry->status);
    if (*reason_of(story->saga) != '\0') {
        (void)printf(" (%s)", reason_of(story->saga));
    }
    (void)printf(", started %s, %llu records over %s\n\n", saga_view_time(first->at_ms, time),
                 (unsigned long long)story->chain.count,
                 span_text(last->at_ms - first->at_ms, took, sizeof took));
}

/* A line per decision: what happened, and what followed. */
static void print_decisions(const struct story *story) {
    const struct saga_record *records = story->chain.records;
    for (size_t i = 0; i < story->chain.count; i++) {
        bool cause = saga_trace_is_cause(&records[i]);
        if (i > 0 && records[i].epoch != records[i - 1].epoch) {
            (void)printf("%s            -- the daemon was started again (epoch %u) --",
                         i > 0 ? "\n" : "", records[i].epoch);
        }
        if (cause || i == 0) {
            (void)printf("%s%+9.3f s  ", i > 0 ? "\n" : "",
                         (double)(records[i].at_ms - records[0].at_ms) / 1000);
        } else {
            (void)printf("%s", saga_trace_is_cause(&records[i - 1]) ? " -> " : ", ");
        }
        saga_trace_write(stdout, &records[i], story->definition);
    }
    (void)printf("\n");
}

static void print_steps(const struct story *story) {
    if (story->saga == NULL || story->definition == NULL) {
        (void)printf("\nits records make no story; sagalog verify says where\n");
        return;
    }
    (void)printf("\n%-24s %-14s %s\n", "STEP", "STATUS", "ATTEMPTS");
    for (uint8_t i = 0; i < story->saga->step_count; i++) {
        (void)printf("%-24s %-14s %u\n", story->definition->steps[i].name,
                     saga_step_status_name(&story->saga->steps[i]), story->saga->steps[i].attempt);
    }
}

static enum saga_error run_show(struct session *session) {
    const struct saga_catalog_entry *entry = NULL;
    struct story story;
    enum saga_error error = recall(session);
    if (error == SAGA_OK) {
        error = find_part(session, session->argument, &entry);
    }
    if (error == SAGA_OK) {
        error = story_open(&story, session, entry);
    }
    if (error != SAGA_OK) {
        return error;
    }
    if (session->json) {
        json_t *json = story_json(&story);
        json_t *records = json_array();
        for (size_t i = 0; i < story.chain.count && records != NULL; i++) {
            (void)json_array_append_new(records, saga_record_json(&story.chain.records[i]));
        }
        (void)json_object_set_new(json, "records", records);
        error = print_json(session, json);
    } else {
        print_header(&story);
        print_decisions(&story);
        print_steps(&story);
    }
    story_close(&story);
    return error;
}

/* ------------------------------------------------------------ tail, export */

static const struct saga_definition *definition_for(const struct session *session,
                                                    const struct saga_record *record) {
    struct saga_catalog_entry *entry = saga_catalog_find(session->recall->catalog, &record->saga);
    return entry == NULL ? NULL
                         : saga_registry_at(session->recall->registry, entry->definition_lsn);
}

static enum saga_error print_record(struct session *session, const struct saga_record *record) {
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    if (session->json) {
        return print_json(session, saga_record_json(record));
    }
    bool of_saga = record->fact != SAGA_DEFINITION_LOADED && record->fact != SAGA_EPOCH_STARTED;
    (void)printf("%10llu  %s  %-8s  %s", (unsigned long long)record->lsn,
                 saga_view_time(record->at_ms, time),
                 of_saga ? saga_id_text(&record->saga, id) + SAGA_ID_TEXT_SIZE - 9 : "",
                 saga_trace_is_cause(record) ? "" : "  -> ");
    saga_trace_write(stdout, record, definition_for(session, record));
    (void)printf("\n");
    return SAGA_OK;
}

/* Prints from the reader's place to the end of its view. */
static enum saga_error print_rest(struct session *session, struct saga_log_reader *reader) {
    struct saga_record record;
    for (;;) {
        enum saga_error error = saga_log_reader_next(reader, &record, &session->fault);
        if (error == SAGA_ERROR_NOT_FOUND) {
            return fflush(stdout) == 0 ? SAGA_OK
                                       : saga_fault_set(&session->fault, SAGA_ERROR_FAILED,
                                                        "cannot write to standard output");
        }
        if (error == SAGA_OK) {
            error = print_record(session, &record);
        }
        if (error != SAGA_OK) {
            return error;
        }
    }
}

/* What was recalled may be older than what is printed: a saga that is not known
 * yet makes it stale. */
static enum saga_error refresh(struct session *session) {
    struct saga_recall *old = session->recall;
    session->recall = NULL;
    enum saga_error error = recall(session);
    saga_recall_close(old);
    return error;
}

/* Waits for the file to be written to, and prints what is new; for ever. */
static enum saga_error follow(struct session *session, struct saga_log_reader *reader) {
    char path[4096];
    char events[4096];
    int notify = inotify_init1(IN_CLOEXEC);
    (void)snprintf(path, sizeof path, "%s/log/data.mdb", session->data_dir);
    if (notify < 0 || inotify_add_watch(notify, path, IN_MODIFY) < 0) {
        return saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "cannot watch %s: %s", path,
                              strerror(errno));
    }
    enum saga_error error = SAGA_OK;
    while (error == SAGA_OK) {
        error = saga_log_reader_renew(reader, &session->fault);
        if (error == SAGA_OK && !session->json) {
            error = refresh(session);
        }
        if (error == SAGA_OK) {
            error = print_rest(session, reader);
        }
        if (error == SAGA_OK && read(notify, events, sizeof events) < 0) {
            error = saga_fault_set(&session->fault, SAGA_ERROR_FAILED, "cannot watch %s: %s", path,
                                   strerror(errno));
        }
    }
    (void)close(notify);
    return error;
}

static enum saga_error run_tail(struct session *session) {
    struct saga_log_reader *reader = NULL;
    enum saga_error error = recall(session);
    if (error == SAGA_OK) {
        error = saga_log_reader_open(session->log, &reader, &session->fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    uint64_t first = saga_log_reader_first(reader);
    uint64_t last = saga_log_reader_last(reader);
    saga_log_reader_seek(reader, last >= first + TAIL_RECORDS ? last - TAIL_RECORDS + 1 : first);
    error = session->follow ? follow(session, reader) : print_rest(session, reader);
    saga_log_reader_close(reader);
    return error;
}

static enum saga_error run_export(struct session *session) {
    struct saga_log_reader *reader = NULL;
    enum saga_error error = saga_log_reader_open(session->log, &reader, &session->fault);
    session->json = true;
    if (error != SAGA_OK) {
        return error;
    }
    error = print_rest(session, reader);
    saga_log_reader_close(reader);
    return error;
}

/* ----------------------------------------------------------- verify, stats */

static enum saga_error run_verify(struct session *session) {
    struct saga_log_usage usage;
    saga_log_usage(session->log, &usage);
    enum saga_error error = recall(session);
    if (error != SAGA_OK) {
        return error;
    }
    const struct saga_recovery_report *report = &session->recall->report;
    if (session->json) {
        error = print_json(
            session, json_pack("{s:I, s:I, s:I, s:I, s:I}", "records", (json_int_t)report->records,
                               "sagas", (json_int_t)report->sagas, "open", (json_int_t)report->open,
                               "definitions", (json_int_t)report->definitions, "quarantined",
                               (json_int_t)session->problems));
    } else {
        (void)printf("%llu records, %llu sagas (%llu open), %llu definitions: %s\n",
                     (unsigned long long)report->records, (unsigned long long)report->sagas,
                     (unsigned long long)report->open, (unsigned long long)report->definitions,
                     session->problems == 0 ? "all checked, nothing wrong" : "not in order");
    }
    if (error == SAGA_OK && session->problems > 0) {
        error = saga_fault_set(&session->fault, SAGA_ERROR_LOG_REFUSED,
                               "%llu sagas make no story (each is named above); a daemon runs the "
                               "others and shows these as quarantined",
                               (unsigned long long)session->problems);
    }
    return error;
}

/* Counts by status, in the order of the vocabulary. */
static const char *const statuses[] = {"running",     "compensating", "parked",
                                       "quarantined", "completed",    "compensated"};
#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])

static enum saga_error run_stats(struct session *session) {
    struct saga_log_usage usage;
    uint64_t counts[STATUS_COUNT] = {0};
    enum saga_error error = recall(session);
    if (error != SAGA_OK) {
        return error;
    }
    saga_log_usage(session->log, &usage);
    const struct saga_catalog *catalog = session->recall->catalog;
    for (uint64_t i = saga_catalog_count(catalog); i > 0; i--) {
        for (size_t j = 0; j < STATUS_COUNT; j++) {
            counts[j] += strcmp(saga_catalog_at(catalog, i)->status, statuses[j]) == 0;
        }
    }
    if (session->json) {
        json_t *by_status = json_object();
        for (size_t j = 0; j < STATUS_COUNT; j++) {
            (void)json_object_set_new(by_status, statuses[j], json_integer((json_int_t)counts[j]));
        }
        return print_json(
            session,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "log", saga_log_identity(session->log),
                      "epoch", (json_int_t)saga_log_epoch(session->log), "records",
                      (json_int_t)usage.records, "bytes", (json_int_t)usage.bytes, "bytes_max",
                      (json_int_t)usage.bytes_max, "definitions",
                      (json_int_t)session->recall->report.definitions, "sagas", by_status));
    }
    (void)printf("log          %s\nepoch        %u\nrecords      %llu\nbytes        %llu\n"
                 "definitions  %llu\n",
                 saga_log_identity(session->log), saga_log_epoch(session->log),
                 (unsigned long long)usage.records, (unsigned long long)usage.bytes,
                 (unsigned long long)session->recall->report.definitions);
    for (size_t j = 0; j < STATUS_COUNT; j++) {
        (void)printf("%-12s %llu\n", statuses[j], (unsigned long long)counts[j]);
    }
    return SAGA_OK;
}

/* -------------------------------------------------------------- command line */

static const struct verb {
    const char *name;
    bool takes_id;
    enum saga_error (*run)(struct session *session);
} verbs[] = {
    {"list", false, run_list},     {"show", true, run_show},    {"tail", false, run_tail},
    {"verify", false, run_verify}, {"stats", false, run_stats}, {"export", false, run_export},
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static const struct verb *verb_of(const char *name) {
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct session *session = state->input;
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
    case ARGP_KEY_ARG:
        if (state->arg_num == 0) {
            session->verb = value;
        } else if (state->arg_num == 1) {
            session->argument = value;
        } else {
            argp_error(state, "'%s' is one word too many", value);
        }
        return 0;
    case ARGP_KEY_END:
        if (session->verb == NULL || verb_of(session->verb) == NULL) {
            argp_error(state, "%s%s%s; there is: list, show ID, tail, verify, stats, export",
                       session->verb == NULL ? "no command given" : "there is no command '",
                       session->verb == NULL ? "" : session->verb,
                       session->verb == NULL ? "" : "'");
        } else if (verb_of(session->verb)->takes_id != (session->argument != NULL)) {
            argp_error(state, "'%s' takes %s", session->verb,
                       verb_of(session->verb)->takes_id ? "an ID (any part of one)"
                                                        : "no argument");
        } else if (session->data_dir == NULL) {
            argp_error(state, "--data-dir DIR is needed: the directory that sagad was given");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"data-dir", 'd', "DIR", 0, "The data directory of the daemon", 0},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 0},
    {"follow", 'f', NULL, 0, "tail: go on printing records as they are written", 0},
    {0},
};

static const char doc[] =
    "Reads the log of sagad, while it runs or when it is dead, and changes nothing.\v"
    "Commands:\n"
    "  list       a line per saga, the newest first\n"
    "  show ID    the story of one saga; ID is any part of an id that only one has\n"
    "  tail       the latest records of all sagas\n"
    "  verify     reads and checks every record\n"
    "  stats      counts, and the size of the log\n"
    "  export     every record as a line of JSON, without loss\n"
    "\n"
    "Exit status: 0 ok, 1 failed, 2 usage, 3 no such log or saga, 7 log refused.";

int main(int argc, char **argv) {
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "COMMAND [ID]", .doc = doc};
    struct session session = {0};
    argp_err_exit_status = 2;
    argp_program_version = "sagalog " SAGA_VERSION;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &session);
    enum saga_error error = open_log(&session);
    if (error == SAGA_OK) {
        error = verb_of(session.verb)->run(&session);
    }
    if (error == SAGA_OK && fflush(stdout) != 0) {
        error = saga_fault_set(&session.fault, SAGA_ERROR_FAILED,
                               "cannot write to standard output: %s", strerror(errno));
    }
    if (error != SAGA_OK) {
        (void)fprintf(stderr, "sagalog: %s\n", session.fault.text);
    }
    saga_recall_close(session.recall);
    if (session.log != NULL) {
        saga_log_close(session.log);
    }
    return saga_error_exit_status(error);
}
