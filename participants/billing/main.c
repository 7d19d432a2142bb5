/* billing: the billing service's command line, and the service itself. */
#include "billing.h"
#include "command_line.h"
#include "serve.h"

#define BILL_COLUMNS "SELECT id, total AS total_cents, status, reference_no FROM billing_requests "

const char *argp_program_version = "billing (sagad) " SAGA_VERSION;

static enum saga_error list_bills(struct saga_verb_input *input, struct saga_fault *fault) {
    return saga_print_rows(saga_billing_service(), input->database, BILL_COLUMNS "ORDER BY id",
                           NULL, NULL, fault);
}

static enum saga_error show_bills(struct saga_verb_input *input, struct saga_fault *fault) {
    size_t count;
    enum saga_error error = saga_print_rows(saga_billing_service(), input->database,
                                            BILL_COLUMNS "WHERE reference_no = ?1 ORDER BY id",
                                            input->argument, &count, fault);
    if (error == SAGA_OK && count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "no bill has the reference %s; try billing_request_list",
                              input->argument);
    }
    return error;
}

static enum saga_error serve(struct saga_verb_input *input, struct saga_fault *fault) {
    const struct saga_served served = {
        .service = saga_billing_service(),
        .title = "Billing",
        .http_port = 8002,
        /* pay.bill is another name of billing.authorize_payment */
        .bindings = {"billing.#", "pay.#"},
    };
    return saga_serve(input, &served, fault);
}

static const struct saga_verb verbs[] = {
    {"billing_request_list", NULL, "Shows all bills.", NULL, true, list_bills},
    {"billing_request_details_by_reference_no", "REF",
     "Shows the bills of one booking, by its reference <slot>:<booking>.", NULL, true, show_bills},
    {"serve", NULL, SAGA_SERVE_DOC, saga_serve_options, true, serve, true},
};

int main(int argc, char **argv) {
    return saga_command_line_run(
        argc, argv,
        "The billing service of the booking example: its bills, one JSON object a line.", verbs,
        sizeof verbs / sizeof verbs[0]);
}
