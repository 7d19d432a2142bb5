#include "fence_row.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char *const tables = "CREATE TABLE IF NOT EXISTS saga_participant ("
                                  "  service TEXT NOT NULL,"
                                  "  format INTEGER NOT NULL,"
                                  "  purged_before INTEGER NOT NULL"
                                  ") STRICT;"
                                  "CREATE TABLE IF NOT EXISTS saga_fence ("
                                  "  saga TEXT NOT NULL CHECK (length(saga) = 36),"
                                  "  step TEXT NOT NULL,"
                                  "  incarnation INTEGER NOT NULL CHECK (incarnation > 0),"
                                  "  state TEXT NOT NULL,"
                                  "  command TEXT,"
                                  "  body_hash BLOB CHECK (length(body_hash) = 16),"
                                  "  event TEXT, content TEXT,"
                                  "  undo_command TEXT, undo_revision INTEGER,"
                                  "  undo_event TEXT, undo_content TEXT,"
                                  "  decided_at INTEGER NOT NULL,"
                                  "  PRIMARY KEY (saga, step, incarnation),"
                                  "  CHECK ((state = 'tombstone') = (command IS NULL)),"
                                  "  CHECK ((command IS NULL) = (body_hash IS NULL)),"
                                  "  CHECK ((state = 'compensated') = (undo_command IS NOT NULL))"
                                  ") STRICT, WITHOUT ROWID;";

void saga_fence_row_fini(struct saga_fence_row *row) {
    free(row->action.content);
    free(row->compensation.content);
    *row = (struct saga_fence_row){0};
}

/* ------------------------------------------------------------------ tables */

/* 1: the tables are there and ours; 0: there are none; -1: fault is set. */
static int check_tables(struct saga_database *database, const char *service,
                        struct saga_fault *fault, enum saga_error *error) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_table_column_metadata(database->handle, "main", "saga_participant", NULL, NULL,
                                      NULL, NULL, NULL, NULL) != SQLITE_OK) {
        /* SQLITE_ERROR is how it says that there is no such table. */
        if ((sqlite3_errcode(database->handle) & 0xff) == SQLITE_ERROR) {
            return 0;
        }
        *error = saga_database_fault(database, fault, "cannot read the schema");
        return -1;
    }
    if (sqlite3_prepare_v2(database->handle, "SELECT service, format FROM saga_participant", -1,
                           &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        *error = saga_database_fault(database, fault, "cannot read whose database it is");
        sqlite3_finalize(statement);
        return -1;
    }
    const char *owner = (const char *)sqlite3_column_text(statement, 0);
    sqlite3_int64 format = sqlite3_column_int64(statement, 1);
    int result = 1;
    const char *path = sqlite3_db_filename(database->handle, "main");
    if (owner == NULL || strcmp(owner, service) != 0) {
        *error = saga_fault_set(fault, SAGA_ERROR_CONFLICT,
                                "%s: this is the database of '%s', not of '%s'; choose another "
                                "file",
                                path, owner == NULL ? "?" : owner, service);
        result = -1;
    } else if (format != SAGA_FENCE_FORMAT) {
        *error = saga_fault_set(fault, SAGA_ERROR_CONFLICT,
                                "%s: its format is %lld, this program knows %d; use the version "
                                "that wrote it, or a newer one",
                                path, (long long)format, SAGA_FENCE_FORMAT);
        result = -1;
    }
    sqlite3_finalize(statement);
    return result;
}

static enum saga_error make_tables(struct saga_database *database, const char *service,
                                   const char *schema, struct saga_fault *fault) {
    sqlite3 *handle = database->handle;
    char *first_row = sqlite3_mprintf("INSERT INTO saga_participant SELECT %Q, %d, 0 "
                                      "WHERE NOT EXISTS (SELECT 1 FROM saga_participant)",
                                      service, SAGA_FENCE_FORMAT);
    bool made = first_row != NULL &&
                sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(handle, tables, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(handle, first_row, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(handle, schema, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_free(first_row);
    if (made) {
        return SAGA_OK;
    }
    enum saga_error error = saga_database_fault(database, fault, "cannot create the tables");
    if (sqlite3_get_autocommit(handle) == 0) {
        (void)sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL); /* closing rolls back, too */
    }
    return error;
}

enum saga_error saga_fence_tables_open(struct saga_database *database, const char *service,
                                       const char *schema, struct saga_fault *fault) {
    /* Looked at first, without a lock: the command lines read beside a busy service. */
    enum saga_error error = SAGA_OK;
    int found = check_tables(database, service, fault, &error);
    if (found == 0) {
        error = make_tables(database, service, schema, fault);
        if (error == SAGA_OK) {
            found = check_tables(database, service, fault, &error);
            assert(found != 0);
        }
    }
    return error;
}

/* -------------------------------------------------------------------- rows */

static bool bind_key(sqlite3_stmt *statement, const struct saga_wire_command *command) {
    return sqlite3_bind_text(statement, 1, command->saga, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, 2, command->step, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 3, command->incarnation) == SQLITE_OK;
}

/* Copies an answer out of two columns. 1: done; 0: it makes no sense; -1: no memory. */
static int read_answer(sqlite3_stmt *statement, int column, struct saga_fence_answer *answer) {
    const char *event = (const char *)sqlite3_column_text(statement, column);
    const char *content = (const char *)sqlite3_column_text(statement, column + 1);
    if (!saga_wire_name_check(event, SAGA_WIRE_NAME_BYTES_MAX)) {
        return 0;
    }
    (void)snprintf(answer->event, sizeof answer->event, "%s", event);
    if (content == NULL) {
        return sqlite3_column_type(statement, column + 1) == SQLITE_NULL ? 1 : -1;
    }
    answer->content = strdup(content);
    return answer->content == NULL ? -1 : 1;
}

static enum saga_fence_read read_columns(sqlite3_stmt *statement, struct saga_fence_row *row) {
    row->state = saga_fence_state_parse((const char *)sqlite3_column_text(statement, 0));
    if (row->state == 0 || row->state == SAGA_FENCE_ABSENT) {
        return SAGA_FENCE_DAMAGED;
    }
    if (row->state == SAGA_FENCE_TOMBSTONE) {
        return SAGA_FENCE_READ;
    }
    const void *hash = sqlite3_column_blob(statement, 1);
    if (hash == NULL || sqlite3_column_bytes(statement, 1) != SAGA_FENCE_HASH_BYTES) {
        return SAGA_FENCE_DAMAGED;
    }
    memcpy(row->body_hash, hash, SAGA_FENCE_HASH_BYTES);
    int read = read_answer(statement, 2, &row->action);
    if (read == 1 && row->state == SAGA_FENCE_COMPENSATED) {
        read = read_answer(statement, 4, &row->compensation);
    }
    return read == 1 ? SAGA_FENCE_READ : read == 0 ? SAGA_FENCE_DAMAGED : SAGA_FENCE_FAILED;
}

enum saga_fence_read saga_fence_row_read(struct saga_database *database,
                                         const struct saga_wire_command *command,
                                         struct saga_fence_row *row) {
    *row = (struct saga_fence_row){0};
    sqlite3_stmt *statement = saga_database_statement(
        database, "SELECT state, body_hash, event, content, undo_event, undo_content "
                  "FROM saga_fence WHERE saga = ?1 AND step = ?2 AND incarnation = ?3");
    if (statement == NULL || !bind_key(statement, command)) {
        return SAGA_FENCE_FAILED;
    }
    enum saga_fence_read read = SAGA_FENCE_FAILED;
    int status = sqlite3_step(statement);
    if (status == SQLITE_DONE) {
        row->state = SAGA_FENCE_ABSENT;
        read = SAGA_FENCE_READ;
    } else if (status == SQLITE_ROW) {
        read = read_columns(statement, row);
    }
    (void)sqlite3_reset(statement);
    return read;
}

static bool bind_answer(sqlite3_stmt *statement, int parameter,
                        const struct saga_fence_answer *answer) {
    return sqlite3_bind_text(statement, parameter, answer->event, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_text(statement, parameter + 1, answer->content, -1, SQLITE_STATIC) ==
               SQLITE_OK;
}

/* Runs a statement that must change exactly one row. */
static bool run_write(struct saga_database *database, sqlite3_stmt *statement) {
    int status = sqlite3_step(statement);
    (void)sqlite3_reset(statement);
    if (status != SQLITE_DONE) {
        return false;
    }
    assert(sqlite3_changes(database->handle) == 1);
    return true;
}

bool saga_fence_row_decide(struct saga_database *database, const struct saga_wire_command *command,
                           enum saga_fence_state state, const struct saga_fence_answer *answer,
                           int64_t now_ms) {
    assert(state == SAGA_FENCE_DONE || state == SAGA_FENCE_REJECTED);
    unsigned char hash[SAGA_FENCE_HASH_BYTES];
    saga_fence_body_hash(command, hash);
    sqlite3_stmt *statement = saga_database_statement(
        database, "INSERT INTO saga_fence(saga, step, incarnation, state, command, body_hash, "
                  "event, content, decided_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    return statement != NULL && bind_key(statement, command) &&
           sqlite3_bind_text(statement, 4, saga_fence_state_name(state), -1, SQLITE_STATIC) ==
               SQLITE_OK &&
           sqlite3_bind_text(statement, 5, command->name, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_blob(statement, 6, hash, sizeof hash, SQLITE_STATIC) == SQLITE_OK &&
           bind_answer(statement, 7, answer) &&
           sqlite3_bind_int64(statement, 9, now_ms) == SQLITE_OK && run_write(database, statement);
}

bool saga_fence_row_bury(struct saga_database *database, const struct saga_wire_command *command,
                         int64_t now_ms) {
    sqlite3_stmt *statement = saga_database_statement(
        database, "INSERT INTO saga_fence(saga, step, incarnation, state, decided_at) "
                  "VALUES(?1, ?2, ?3, 'tombstone', ?4)");
    return statement != NULL && bind_key(statement, command) &&
           sqlite3_bind_int64(statement, 4, now_ms) == SQLITE_OK && run_write(database, statement);
}

bool saga_fence_row_compensate(struct saga_database *database,
                               const struct saga_wire_command *command,
                               const struct saga_fence_answer *answer, int64_t now_ms) {
    sqlite3_stmt *statement = saga_database_statement(
        database, "UPDATE saga_fence SET state = 'compensated', undo_command = ?4, "
                  "undo_revision = ?5, undo_event = ?6, undo_content = ?7, decided_at = ?8 "
                  "WHERE saga = ?1 AND step = ?2 AND incarnation = ?3 AND state = 'done'");
    return statement != NULL && bind_key(statement, command) &&
           sqlite3_bind_text(statement, 4, command->name, -1, SQLITE_STATIC) == SQLITE_OK &&
           sqlite3_bind_int64(statement, 5, command->revision) == SQLITE_OK &&
           bind_answer(statement, 6, answer) &&
           sqlite3_bind_int64(statement, 8, now_ms) == SQLITE_OK && run_write(database, statement);
}

bool saga_fence_row_settle(struct saga_database *database, const struct saga_wire_command *command,
                           int64_t now_ms) {
    sqlite3_stmt *statement = saga_database_statement(
        database, "UPDATE saga_fence SET state = 'settled', decided_at = ?4 "
                  "WHERE saga = ?1 AND step = ?2 AND incarnation = ?3 AND state = 'done'");
    return statement != NULL && bind_key(statement, command) &&
           sqlite3_bind_int64(statement, 4, now_ms) == SQLITE_OK && run_write(database, statement);
}

bool saga_fence_rows_purge(struct saga_database *database, int64_t before_ms, uint64_t *purged) {
    sqlite3_stmt *statement =
        saga_database_statement(database, "DELETE FROM saga_fence WHERE decided_at < ?1");
    if (statement == NULL || sqlite3_bind_int64(statement, 1, before_ms) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_DONE) {
        return false;
    }
    *purged = (uint64_t)sqlite3_changes64(database->handle);
    (void)sqlite3_reset(statement);
    statement = saga_database_statement(
        database, "UPDATE saga_participant SET purged_before = max(purged_before, ?1)");
    return statement != NULL && sqlite3_bind_int64(statement, 1, before_ms) == SQLITE_OK &&
           run_write(database, statement);
}

bool saga_fence_purged_before(struct saga_database *database, int64_t *before_ms) {
    sqlite3_stmt *statement =
        saga_database_statement(database, "SELECT purged_before FROM saga_participant");
    if (statement == NULL || sqlite3_step(statement) != SQLITE_ROW) {
        return false;
    }
    *before_ms = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return true;
}

void saga_fence_body_hash(const struct saga_wire_command *command,
                          unsigned char hash[SAGA_FENCE_HASH_BYTES]) {
    XXH128_canonical_t canonical;
    _Static_assert(sizeof canonical == SAGA_FENCE_HASH_BYTES, "the hash's size");
    /* The library takes no NULL, not even of no bytes. */
    XXH128_hash_t value =
        XXH3_128bits(command->body_size == 0 ? "" : command->body, command->body_size);
    XXH128_canonicalFromHash(&canonical, value);
    memcpy(hash, canonical.digest, SAGA_FENCE_HASH_BYTES);
}
