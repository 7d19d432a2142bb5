/* booking: the booking service's command line, and the service itself. */
#include "booking.h"
#include "command_line.h"
#include "request.h"
#include "serve.h"
#include "uuid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOKING_COLUMNS "SELECT id, status, parking_slot_ref_no FROM bookings "
#define TIMEOUT_MS_MAX  (INT64_C(24) * 3600 * 1000)

const char *argp_program_version = "booking (sagad) " SAGA_VERSION;

enum { SERVER, TOTAL, TIMEOUT, KEY, SAGA_NAME };

static const struct argp_option request_options[] = {
    {"server", SAGA_VERB_VALUE + SERVER, "ADDRESS", 0,
     "Where sagad is: unix:PATH or http://HOST:PORT (default: SAGAD_SERVER)", 0},
    {"total", SAGA_VERB_VALUE + TOTAL, "AMOUNT", 0,
     "What is to be paid, in the smallest unit of the currency (default: left to billing, 100.00)",
     0},
    {"timeout", SAGA_VERB_VALUE + TIMEOUT, "DURATION", 0,
     "How long to wait for the end, e.g. 500ms, 30s, 5m (default: 5m)", 0},
    {"key", SAGA_VERB_VALUE + KEY, "KEY", 0,
     "Start key: the same key starts nothing twice (default: a new one)", 0},
    {"saga", SAGA_VERB_VALUE + SAGA_NAME, "NAME", 0, "The saga's definition (default: booking)", 0},
    {0},
};

/* A number followed by one of the units; false if it is not that, or over a day. */
static bool parse_duration(const char *text, int64_t *duration_ms) {
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || text[0] < '0' || text[0] > '9' || errno != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) == 0 && number <= TIMEOUT_MS_MAX / units[i].ms) {
            *duration_ms = number * units[i].ms;
            return *duration_ms > 0;
        }
    }
    return false;
}

static bool parse_total(const char *text, int64_t *total) {
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *total = number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number > 0;
}

static enum saga_error read_request(const struct saga_verb_input *input,
                                    struct saga_booking_request *request,
                                    struct saga_fault *fault) {
    const char *const *values = input->values;
    *request = (struct saga_booking_request){
        .server = values[SERVER] != NULL ? values[SERVER] : getenv("SAGAD_SERVER"),
        .saga = values[SAGA_NAME] != NULL ? values[SAGA_NAME] : "booking",
        .slot = input->argument,
        .key = values[KEY],
        .timeout_ms = 300000,
    };
    if (request->server == NULL || request->server[0] == '\0') {
        return saga_fault_set(
            fault, SAGA_ERROR_USAGE,
            "where is the daemon? give --server unix:PATH or http://HOST:PORT, or "
            "set SAGAD_SERVER");
    }
    if (values[TOTAL] != NULL && !parse_total(values[TOTAL], &request->total)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--total '%s': expected a whole amount over 0, e.g. 10000 for 100.00",
                              values[TOTAL]);
    }
    if (values[TIMEOUT] != NULL && !parse_duration(values[TIMEOUT], &request->timeout_ms)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "--timeout '%s': expected a duration up to 24h, e.g. 500ms, 30s, 5m",
                              values[TIMEOUT]);
    }
    return SAGA_OK;
}

static enum saga_error show_outcome(const struct saga_booking_outcome *outcome,
                                    struct saga_fault *fault) {
    json_t *line =
        json_pack("{s:s, s:s, s:s*, s:s*}", "saga", outcome->saga, "status", outcome->status,
                  "reason", outcome->reason[0] == '\0' ? NULL : outcome->reason,
                  "parking_slot_ref_no", outcome->reference[0] == '\0' ? NULL : outcome->reference);
    return saga_print_object(line, fault);
}

static enum saga_error create_request(struct saga_verb_input *input, struct saga_fault *fault) {
    struct saga_booking_request request;
    enum saga_error error = read_request(input, &request, fault);
    if (error != SAGA_OK) {
        return error;
    }
    char key[37];
    if (request.key == NULL) {
        saga_uuid_make(key);
        request.key = key;
    }
    struct saga_booking_outcome outcome;
    error = saga_booking_request_run(&request, &outcome, fault);
    if (error != SAGA_OK) {
        return error;
    }
    input->exit_status = saga_booking_exit_status(outcome.status);
    bool open = strcmp(outcome.status, "parked") == 0 || strcmp(outcome.status, "quarantined") == 0;
    (void)printf("Booking request workflow %s.\n", open ? "needs an operator" : "done");
    return show_outcome(&outcome, fault);
}

static enum saga_error list_bookings(struct saga_verb_input *input, struct saga_fault *fault) {
    return saga_print_rows(saga_booking_service(), input->database, BOOKING_COLUMNS "ORDER BY id",
                           NULL, NULL, fault);
}

static enum saga_error show_bookings(struct saga_verb_input *input, struct saga_fault *fault) {
    size_t count;
    enum saga_error error =
        saga_print_rows(saga_booking_service(), input->database,
                        BOOKING_COLUMNS "WHERE parking_slot_ref_no = ?1 ORDER BY id",
                        input->argument, &count, fault);
    if (error == SAGA_OK && count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "no booking has the reference %s; try booking_list", input->argument);
    }
    return error;
}

static enum saga_error serve(struct saga_verb_input *input, struct saga_fault *fault) {
    const struct saga_served served = {
        .service = saga_booking_service(),
        .title = "Booking",
        .http_port = 8001,
        .bindings = {"booking.#"},
    };
    return saga_serve(input, &served, fault);
}

static const struct saga_verb verbs[] = {
    {"create_booking_request", "SLOT_UUID",
     "Starts the saga that books the slot, waits for its end, and shows the outcome.",
     request_options, false, create_request},
    {"booking_list", NULL, "Shows all bookings.", NULL, true, list_bookings},
    {"booking_details_by_parking_ref_no", "REF",
     "Shows a booking by its reference <slot>:<booking>.", NULL, true, show_bookings},
    {"serve", NULL, SAGA_SERVE_DOC, saga_serve_options, true, serve, true},
};

int main(int argc, char **argv) {
    return saga_command_line_run(
        argc, argv,
        "The booking service of the booking example: its bookings, one JSON object a line.", verbs,
        sizeof verbs / sizeof verbs[0]);
}
