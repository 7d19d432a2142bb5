#include "scan.h"

static enum saga_error resume(struct saga_scan *scan, struct saga_fault *fault) {
    if (scan->reader != NULL) {
        return SAGA_OK;
    }
    enum saga_error error = saga_log_reader_open(scan->log, &scan->reader, fault);
    if (error != SAGA_OK) {
        scan->reader = NULL;
        return error;
    }
    if (scan->next_lsn < saga_log_reader_first(scan->reader)) {
        scan->next_lsn = saga_log_reader_first(scan->reader);
    }
    saga_log_reader_seek(scan->reader, scan->next_lsn);
    return SAGA_OK;
}

enum saga_error saga_scan_open(struct saga_scan *scan, struct saga_log *log, uint64_t first_lsn,
                               struct saga_fault *fault) {
    *scan = (struct saga_scan){.log = log, .next_lsn = first_lsn};
    return saga_scan_extend(scan, fault);
}

void saga_scan_close(struct saga_scan *scan) {
    saga_scan_pause(scan);
}

enum saga_error saga_scan_next(struct saga_scan *scan, struct saga_record *record,
                               struct saga_fault *fault) {
    if (scan->next_lsn > scan->last_lsn) {
        return SAGA_ERROR_NOT_FOUND;
    }
    enum saga_error error = resume(scan, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_next(scan->reader, record, fault);
        scan->next_lsn = saga_log_reader_position(scan->reader);
    }
    return error;
}

enum saga_error saga_scan_skip(struct saga_scan *scan, uint64_t *last_missing_lsn,
                               struct saga_fault *fault) {
    enum saga_error error = resume(scan, fault);
    if (error == SAGA_OK) {
        error = saga_log_reader_skip(scan->reader, fault);
    }
    *last_missing_lsn = scan->last_lsn;
    if (error == SAGA_OK) {
        scan->next_lsn = saga_log_reader_position(scan->reader);
        *last_missing_lsn = scan->next_lsn - 1;
    }
    return error;
}

void saga_scan_pause(struct saga_scan *scan) {
    if (scan->reader != NULL) {
        saga_log_reader_close(scan->reader);
        scan->reader = NULL;
    }
}

enum saga_error saga_scan_extend(struct saga_scan *scan, struct saga_fault *fault) {
    saga_scan_pause(scan);
    enum saga_error error = resume(scan, fault);
    if (error == SAGA_OK) {
        scan->last_lsn = saga_log_reader_last(scan->reader);
    }
    return error;
}
