/*
 * A log in a directory of its own, as most tests of the log need one.
 *
 * Failures end the test (Check).
 *
 * Threads: one.
 */
#ifndef SAGA_LOG_SCENE_H
#define SAGA_LOG_SCENE_H

#include "ledger.h"
#include "log.h"
#include "scratch.h"

#include <check.h>

/* Of the scene's logs. Small, because address sanitizers dislike large maps. */
#define SCENE_MAP_BYTES ((uint64_t)256 << 20)

/* The data directory. */
extern struct scratch scene;

/* A test case with a scene for each of its tests. */
TCase *scene_group(Suite *suite, const char *name);
void scene_setup(void);
void scene_teardown(void);

struct saga_log *scene_open(void);
struct saga_log *scene_inspect(void);

/* Opens what must not open; the error, with its text in `fault`. */
enum saga_error scene_refused(bool read_only, struct saga_fault *fault);

void scene_flush(struct saga_log *log);
/* Appends the next `count` records of the ledger, and flushes. */
void scene_append(struct saga_log *log, uint32_t count);

/* The log has the ledger's records up to `last_expected`, all durable. */
void scene_assert_content(struct saga_log *log, uint64_t last_expected);
/* saga_log_read() gives the ledger's record. */
void scene_assert_reads(struct saga_log *log, uint64_t lsn);

/* For a child: 0 if an inspector finds the ledger's records up to
 * *(uint64_t *)last_expected. */
int scene_read_all(void *last_expected);

#endif
