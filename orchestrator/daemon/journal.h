/*
 * The daemon's journal: lines on standard error, for people and for machines.
 *
 * Hides the three formats, and the escaping that keeps one event on one line
 * whatever is in it. A line is written by one system call, so lines of several
 * threads do not mix. What cannot be written at once is lost and counted: no saga
 * waits for somebody to read. (A line is below PIPE_BUF, as a rule, so a pipe
 * that takes some of it takes all of it.)
 *
 * Never write a payload into it.
 *
 * Threads: any.
 */
#ifndef SAGA_JOURNAL_H
#define SAGA_JOURNAL_H

enum saga_journal_level {
    SAGA_JOURNAL_ERROR = 1, /* the daemon ends, or a promise is in danger */
    SAGA_JOURNAL_WARNING,   /* somebody should look */
    SAGA_JOURNAL_INFO,      /* the daemon's own life */
    SAGA_JOURNAL_DEBUG,     /* each saga's */
};
#define SAGA_JOURNAL_LEVEL_COUNT 4

enum saga_journal_format {
    SAGA_JOURNAL_TEXT = 1, /* 2024-06-11T09:30:00.125Z warning saga parked saga_id=... */
    SAGA_JOURNAL_LOGFMT,   /* ts=... level=warning msg="saga parked" saga_id=... */
    SAGA_JOURNAL_JSON,     /* {"ts":"...","level":"warning","msg":"saga parked","saga_id":"..."} */
};
#define SAGA_JOURNAL_FORMAT_COUNT 3

struct saga_journal {
    int fd;
    enum saga_journal_format format;
    enum saga_journal_level level; /* what is beyond it is not written */
};

/* More than the text; `name` is a constant of letters and underscores. */
struct saga_journal_field {
    const char *name;
    const char *text;
};
#define SAGA_JOURNAL_FIELDS_MAX 8

/* Writes a line. `fields` end with one whose name is NULL; NULL: none. Texts too
 * long for a line are cut. */
__attribute__((format(printf, 4, 5))) void
saga_journal_write(const struct saga_journal *journal, enum saga_journal_level level,
                   const struct saga_journal_field *fields, const char *format, ...);

/* "error", "warning", "info", "debug"; "text", "logfmt", "json". */
const char *saga_journal_level_name(enum saga_journal_level level);
const char *saga_journal_format_name(enum saga_journal_format format);

#endif
