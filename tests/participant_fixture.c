#include "participant_fixture.h"

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING 64

const char *fixture_saga(unsigned number) {
    static char texts[RING][SAGA_WIRE_SAGA_BYTES + 1];
    static unsigned next;
    char *text = texts[next++ % RING];
    unsigned long long ms = (unsigned long long)FIXTURE_BEGAN_MS + number;
    (void)snprintf(text, SAGA_WIRE_SAGA_BYTES + 1, "%08llx-%04llx-7000-8000-%012x",
                   (ms >> 16) & 0xffffffff, ms & 0xffff, number);
    return text;
}

void fixture_identify(struct saga_wire_command *command) {
    static char texts[RING][SAGA_WIRE_ID_BYTES_MAX + 1];
    static unsigned next;
    char *text = texts[next++ % RING];
    (void)snprintf(text, sizeof texts[0], "%s/%s/%u/%s/%u", command->saga, command->step,
                   command->incarnation, command->operation, command->revision);
    command->id = text;
}

struct saga_wire_command fixture_command(const char *name, const char *operation,
                                         const char *step) {
    struct saga_wire_command command = {
        .name = name,
        .saga = fixture_saga(0),
        .saga_type = "test",
        .step = step,
        .operation = operation,
        .incarnation = 1,
        .revision = 1,
        .attempt = 1,
        .issued_at_ms = FIXTURE_BEGAN_MS,
        .body = "{}",
        .body_size = 2,
    };
    fixture_identify(&command);
    return command;
}

struct saga_wire_command fixture_with_body(struct saga_wire_command command, const char *body) {
    command.body = body;
    command.body_size = strlen(body);
    return command;
}

static char directory[64];
static char path[128];

const char *fixture_file(void) {
    (void)snprintf(directory, sizeof directory, "/tmp/saga-participant-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/test.db", directory);
    return path;
}

void fixture_file_remove(void) {
    char journal[160];
    (void)snprintf(journal, sizeof journal, "%s-journal", path);
    (void)unlink(journal);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

struct saga_participant *fixture_open(const struct saga_service *service, const char *file,
                                      const struct saga_participant_options *options) {
    struct saga_participant *participant;
    struct saga_fault fault = {0};
    enum saga_error error = saga_participant_open(&participant, service, file, options, &fault);
    ck_assert_msg(error == SAGA_OK, "%s", fault.text);
    return participant;
}

void fixture_add_switch(struct saga_participant_switches *switches,
                        enum saga_participant_switch which, const char *argument) {
    struct saga_fault fault = {0};
    ck_assert_msg(saga_participant_switches_add(switches, which, argument, &fault) == SAGA_OK, "%s",
                  fault.text);
}

struct saga_wire_reply fixture_deliver(struct saga_participant *participant,
                                       struct saga_wire_command command) {
    static struct saga_wire_reply replies[RING];
    static unsigned next;
    struct saga_wire_reply *reply = &replies[next++ % RING];
    saga_wire_reply_free(reply);
    struct saga_fault fault = {0};
    enum saga_error error = saga_participant_apply(participant, &command, 1, reply, &fault);
    ck_assert_msg(error == SAGA_OK, "%s", fault.text);
    return *reply;
}

void fixture_expect(const struct saga_wire_reply *reply, enum saga_wire_outcome outcome,
                    const char *event, bool replayed) {
    ck_assert_msg(!reply->silent, "silent: %s", reply->refusal == NULL ? "-" : reply->refusal);
    ck_assert_msg(reply->outcome == outcome, "outcome is %s in %s",
                  saga_wire_outcome_name(reply->outcome), reply->body);
    char state[SAGA_WIRE_NAME_BYTES_MAX + 32];
    (void)snprintf(state, sizeof state, "\"reply_state\": \"%s\"}", event);
    ck_assert_msg(strstr(reply->body, state) != NULL, "%s is not in %s", state, reply->body);
    char id[SAGA_WIRE_ID_BYTES_MAX + 32];
    (void)snprintf(id, sizeof id, "{\"id\": \"%s\",", reply->id);
    ck_assert_msg(strncmp(reply->body, id, strlen(id)) == 0, "%s does not begin with %s",
                  reply->body, id);
    ck_assert_msg(reply->replayed == replayed, "replayed is %d in %s", reply->replayed,
                  reply->body);
}

long long fixture_integer(struct saga_participant *participant, const char *sql) {
    return atoll(fixture_text(participant, sql));
}

const char *fixture_text(struct saga_participant *participant, const char *sql) {
    static char text[4096];
    sqlite3 *database = saga_participant_database(participant);
    sqlite3_stmt *statement;
    ck_assert_msg(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s",
                  sql, sqlite3_errmsg(database));
    text[0] = '\0';
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *value = (const char *)sqlite3_column_text(statement, 0);
        (void)snprintf(text, sizeof text, "%s", value == NULL ? "NULL" : value);
    }
    ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
    return text;
}
