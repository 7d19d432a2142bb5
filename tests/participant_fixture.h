/*
 * What tests of participants share: commands with an identity, one delivery and
 * its reply, a database file of the test's own, a look into the database.
 */
#ifndef PARTICIPANT_FIXTURE_H
#define PARTICIPANT_FIXTURE_H

#include "participant.h"

/* 2024-07-12T00:00:00Z: when the fixture's sagas began, by their ids. */
#define FIXTURE_BEGAN_MS INT64_C(1720742400000)

/* The id of the fixture's saga `number`: a UUIDv7 of FIXTURE_BEGAN_MS + number. */
const char *fixture_saga(unsigned number);

/* A command of saga 0, incarnation 1, revision 1, attempt 1, issued when the saga
 * began, with the body `{}`. Its id lives until 64 more have been made. */
struct saga_wire_command fixture_command(const char *name, const char *operation, const char *step);
/* Makes the id anew from the other fields. */
void fixture_identify(struct saga_wire_command *command);

/* Sets the body, a text. */
struct saga_wire_command fixture_with_body(struct saga_wire_command command, const char *body);

/* A database file in a new directory; fixture_file_remove() deletes both. */
const char *fixture_file(void);
void fixture_file_remove(void);

struct saga_participant *fixture_open(const struct saga_service *service, const char *path,
                                      const struct saga_participant_options *options);

/* Sets a switch, which must be right. */
void fixture_add_switch(struct saga_participant_switches *switches,
                        enum saga_participant_switch which, const char *argument);

/* Carries out one command. The reply's body is freed by the next 64th call. */
struct saga_wire_reply fixture_deliver(struct saga_participant *participant,
                                       struct saga_wire_command command);

/* Asserts that the reply has this outcome and event, and is not silent. */
void fixture_expect(const struct saga_wire_reply *reply, enum saga_wire_outcome outcome,
                    const char *event, bool replayed);

/* The integer that a query gives. */
long long fixture_integer(struct saga_participant *participant, const char *sql);
/* The text that a query gives ("NULL" for null, "" for no row); lives until the next call. */
const char *fixture_text(struct saga_participant *participant, const char *sql);

#endif
