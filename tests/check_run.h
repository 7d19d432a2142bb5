/*
 * The end of every unit test program: its suite is run, and what came of it is
 * the program's exit status.
 *
 * Hides the runner. How much is printed is CK_VERBOSITY's to say (Check).
 *
 * Threads: the main one.
 */
#ifndef SAGA_CHECK_RUN_H
#define SAGA_CHECK_RUN_H

#include <check.h>

/* Runs the suite, and frees it. Returns what main() returns: EXIT_FAILURE if any
 * of its tests failed. */
int check_run(Suite *suite);

#endif
