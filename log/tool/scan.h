/*
 * The log's records one after the other, from any on.
 *
 * Hides views of the log: a scan can be paused, so that what was found can be
 * written to somebody slow, and goes on where it stood. It ends where the log
 * ended when the scan was opened or last extended.
 *
 * Threads: one.
 */
#ifndef SAGA_SCAN_H
#define SAGA_SCAN_H

#include "log.h"

struct saga_scan {
    struct saga_log *log;
    struct saga_log_reader *reader; /* NULL: paused */
    uint64_t next_lsn;
    uint64_t last_lsn;
};

/* From the record `first_lsn` on, or the log's first one if that is later.
 * Errors: LOG_REFUSED, FAILED. Close it in any case. */
SAGA_CHECKED enum saga_error saga_scan_open(struct saga_scan *scan, struct saga_log *log,
                                            uint64_t first_lsn, struct saga_fault *fault);
void saga_scan_close(struct saga_scan *scan);

/* The next record; its key and payload are valid until the scan is paused,
 * extended or closed. Errors: NOT_FOUND (the end; the fault is left alone),
 * LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_scan_next(struct saga_scan *scan, struct saga_record *record,
                                            struct saga_fault *fault);

/* After LOG_REFUSED: goes on behind what cannot be read; *last_missing_lsn is
 * the last record of that. Errors: NOT_FOUND (nothing is left behind it), FAILED. */
SAGA_CHECKED enum saga_error saga_scan_skip(struct saga_scan *scan, uint64_t *last_missing_lsn,
                                            struct saga_fault *fault);

/* Gives the view up until the next call. */
void saga_scan_pause(struct saga_scan *scan);

/* Takes in what was written since. Errors: LOG_REFUSED, FAILED. */
SAGA_CHECKED enum saga_error saga_scan_extend(struct saga_scan *scan, struct saga_fault *fault);

#endif
