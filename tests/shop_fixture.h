/*
 * What tests of the participant library share: the shop, open on a database file
 * of the test's own before each test, and what is to be seen in it.
 */
#ifndef SHOP_FIXTURE_H
#define SHOP_FIXTURE_H

#include "participant.h"

#include <check.h>

extern struct saga_participant *shop;

/* Runs the tests that `add` adds, each with the shop open; returns the exit status. */
int shop_run(const char *name, void (*add)(TCase *tests));

/* As after a restart: what counts is in the file. */
void shop_reopen(const struct saga_participant_options *options);

/* The path of the shop's file. */
const char *shop_path(void);

/* Delivers the command of the step "step". */
struct saga_wire_reply shop_deliver(const char *name, const char *operation);

long long shop_takings(void);     /* the sum of what took effect */
long long shop_runs(void);        /* the runs of business code that left a trace */
const char *shop_row_state(void); /* of the step "step"; "": no row */

/* Asserts that the command was refused, with `why` in the reason. */
void expect_refusal(const struct saga_wire_reply *reply, const char *why);

#endif
