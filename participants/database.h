/*
 * A participant's SQLite database: opened with the settings that keep a
 * committed answer committed, and its prepared statements, kept.
 *
 * Hides the settings and the meaning of SQLite's result codes. Promises that
 * what was committed survives a loss of power, and that several processes may
 * have the file open (rollback journal: WAL has an unfixed corruption bug with
 * several connections in the version that Debian 12 ships).
 *
 * Threads: one database belongs to one thread at a time.
 */
#ifndef SAGA_DATABASE_H
#define SAGA_DATABASE_H

#include "error.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#define SAGA_DATABASE_BUSY_MS 5000

struct saga_database_statement {
    const char *sql; /* the text's address is its key */
    sqlite3_stmt *statement;
};

struct saga_database {
    sqlite3 *handle;
    struct saga_database_statement *statements;
    size_t statement_count;
    size_t statement_capacity;
};

/* Opens `path` (":memory:" for a database that is gone with the process).
 * `create`: make the file if there is none; else NOT_FOUND. FAILED if it is no
 * database, or a setting was not taken. */
SAGA_CHECKED enum saga_error saga_database_open(struct saga_database *database, const char *path,
                                                bool create, struct saga_fault *fault);
void saga_database_close(struct saga_database *database);

/* The statement of `sql`, prepared at its first use, with no bindings. `sql` is
 * a string literal (it is remembered by its address). NULL on an error, which
 * sqlite3_errmsg tells. Owner: the database. */
sqlite3_stmt *saga_database_statement(struct saga_database *database, const char *sql);

/* Ends whatever the statements still hold open, so that a commit frees the file. */
void saga_database_reset(struct saga_database *database);

/* Runs one statement of no result. An SQLite result code. */
int saga_database_run(struct saga_database *database, const char *sql);

/* Fills the fault with SQLite's latest error: "what: why". Always FAILED. */
enum saga_error saga_database_fault(const struct saga_database *database, struct saga_fault *fault,
                                    const char *what);

/* True if the latest error is the database's (locked, full, damaged, out of
 * memory), not the statement's: then the transaction as a whole has failed. */
bool saga_database_is_lost(const struct saga_database *database);

#endif
