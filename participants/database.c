#include "database.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* No statement of a participant is near this; a runaway one is refused. */
#define SQL_BYTES_MAX 65536

static enum saga_error configure(struct saga_database *database, struct saga_fault *fault) {
    sqlite3 *handle = database->handle;
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX);
    if (sqlite3_busy_timeout(handle, SAGA_DATABASE_BUSY_MS) != SQLITE_OK ||
        sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
        sqlite3_exec(handle,
                     "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                     "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;",
                     NULL, NULL, NULL) != SQLITE_OK) {
        return saga_database_fault(database, fault, "cannot set up the database");
    }
    return SAGA_OK;
}

/* The journal's mode is the file's, so another program may have changed it. */
static enum saga_error set_journal(struct saga_database *database, const char *path,
                                   struct saga_fault *fault) {
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(database->handle, "PRAGMA journal_mode = TRUNCATE", -1,
                                    &statement, NULL);
    if (status != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
        sqlite3_finalize(statement);
        return saga_database_fault(database, fault, "cannot set the journal's mode");
    }
    const char *mode = (const char *)sqlite3_column_text(statement, 0);
    bool set = mode != NULL && (strcmp(mode, "truncate") == 0 || strcmp(mode, "memory") == 0);
    sqlite3_finalize(statement);
    if (!set) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "%s: the rollback journal could not be chosen; close the other "
                              "programs that have the database open, and try again",
                              path);
    }
    return SAGA_OK;
}

enum saga_error saga_database_open(struct saga_database *database, const char *path, bool create,
                                   struct saga_fault *fault) {
    *database = (struct saga_database){0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (create ? SQLITE_OPEN_CREATE : 0);
    int status = sqlite3_open_v2(path, &database->handle, flags, NULL);
    if (status != SQLITE_OK) {
        bool missing = !create && (status & 0xff) == SQLITE_CANTOPEN;
        enum saga_error error =
            missing ? saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                                     "%s: there is no such database, or it cannot be opened", path)
                    : saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: cannot open the database: %s",
                                     path, sqlite3_errstr(status));
        saga_database_close(database);
        return error;
    }
    enum saga_error error = configure(database, fault);
    if (error == SAGA_OK) {
        error = set_journal(database, path, fault);
    }
    if (error != SAGA_OK) {
        saga_database_close(database);
    }
    return error;
}

void saga_database_close(struct saga_database *database) {
    for (size_t i = 0; i < database->statement_count; i++) {
        sqlite3_finalize(database->statements[i].statement);
    }
    free(database->statements);
    int status = sqlite3_close(database->handle);
    assert(status == SQLITE_OK); /* else a statement was prepared behind our back and kept */
    *database = (struct saga_database){0};
}

static sqlite3_stmt *prepare(struct saga_database *database, const char *sql) {
    if (database->statement_count == database->statement_capacity) {
        size_t capacity = database->statement_capacity == 0 ? 16 : database->statement_capacity * 2;
        struct saga_database_statement *statements =
            realloc(database->statements, capacity * sizeof *statements);
        if (statements == NULL) {
            return NULL;
        }
        database->statements = statements;
        database->statement_capacity = capacity;
    }
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                           NULL) != SQLITE_OK) {
        return NULL;
    }
    database->statements[database->statement_count++] =
        (struct saga_database_statement){.sql = sql, .statement = statement};
    return statement;
}

sqlite3_stmt *saga_database_statement(struct saga_database *database, const char *sql) {
    for (size_t i = 0; i < database->statement_count; i++) {
        if (database->statements[i].sql == sql) {
            sqlite3_stmt *statement = database->statements[i].statement;
            (void)sqlite3_reset(statement); /* repeats its last error, which was handled then */
            (void)sqlite3_clear_bindings(statement);
            return statement;
        }
    }
    return prepare(database, sql);
}

void saga_database_reset(struct saga_database *database) {
    for (size_t i = 0; i < database->statement_count; i++) {
        (void)sqlite3_reset(database->statements[i].statement);
    }
}

int saga_database_run(struct saga_database *database, const char *sql) {
    sqlite3_stmt *statement = saga_database_statement(database, sql);
    if (statement == NULL) {
        return sqlite3_errcode(database->handle);
    }
    int status = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    return status == SQLITE_DONE ? SQLITE_OK : status;
}

enum saga_error saga_database_fault(const struct saga_database *database, struct saga_fault *fault,
                                    const char *what) {
    const char *path = sqlite3_db_filename(database->handle, "main");
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: %s: %s (SQLite %d)",
                          path == NULL || path[0] == '\0' ? ":memory:" : path, what,
                          sqlite3_errmsg(database->handle),
                          sqlite3_extended_errcode(database->handle));
}

bool saga_database_is_lost(const struct saga_database *database) {
    if (sqlite3_get_autocommit(database->handle) != 0) {
        return true; /* SQLite rolled the transaction back by itself */
    }
    switch (sqlite3_errcode(database->handle) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_INTERRUPT:
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_NOTADB:
        return true;
    default:
        return false;
    }
}
