/* sagalog export: every record as a line of JSON. */
#include <inttypes.h>

#include "record_json.h"
#include "scan.h"
#include "session.h"

/* What can be read on both sides of a gap is worth having; that there is a gap
 * is said at once and by the exit status. */
static enum saga_error go_on(struct saga_session *session, struct saga_scan *scan, bool *damaged) {
    struct saga_fault fault;
    uint64_t last_missing_lsn;
    const uint64_t first_missing_lsn = scan->next_lsn;
    enum saga_error error = saga_scan_skip(scan, &last_missing_lsn, &fault);
    if (error != SAGA_OK && error != SAGA_ERROR_NOT_FOUND) {
        session->fault = fault;
    }
    saga_scan_pause(scan);
    (void)fprintf(stderr, "sagalog: records %" PRIu64 " to %" PRIu64 " are not in this export\n",
                  first_missing_lsn, last_missing_lsn);
    *damaged = true;
    return error;
}

static enum saga_error export_one(struct saga_session *session, struct saga_scan *scan,
                                  const struct saga_record *record) {
    enum saga_error error =
        saga_output_json(&session->output, saga_record_json(record), &session->fault);
    if (error == SAGA_OK && saga_output_full(&session->output)) {
        saga_scan_pause(scan);
        error = saga_output_flush(&session->output, &session->fault);
    }
    return error;
}

enum saga_error saga_export_run(struct saga_session *session) {
    struct saga_scan scan;
    struct saga_record record;
    bool damaged = false;
    enum saga_error error = saga_scan_open(&scan, session->log, 0, &session->fault);
    while (error == SAGA_OK) {
        error = saga_scan_next(&scan, &record, damaged ? NULL : &session->fault);
        if (error == SAGA_OK) {
            error = export_one(session, &scan, &record);
        } else if (error == SAGA_ERROR_LOG_REFUSED) {
            error = go_on(session, &scan, &damaged);
        }
    }
    saga_scan_close(&scan);
    if (error == SAGA_ERROR_NOT_FOUND) { /* the end */
        return damaged ? SAGA_ERROR_LOG_REFUSED : SAGA_OK;
    }
    return error;
}
