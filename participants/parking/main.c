/* parking: the parking service's command line, and the service itself. */
#include "command_line.h"
#include "parking.h"
#include "serve.h"

#include <string.h>

#define SLOT_COLUMNS "SELECT uuid, name, status FROM parking_slots "

const char *argp_program_version = "parking (sagad) " SAGA_VERSION;

static const struct argp_option create_options[] = {
    {"name", SAGA_VERB_VALUE, "NAME", 0, "What the slot is called (required)", 0},
    {0},
};

static enum saga_error create_slot(struct saga_verb_input *input, struct saga_fault *fault) {
    const char *name = input->values[0];
    if (name == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE, "--name is missing, e.g. --name='Slot 1'");
    }
    struct saga_participant *participant;
    enum saga_error error =
        saga_participant_open(&participant, saga_parking_service(), input->database, NULL, fault);
    if (error != SAGA_OK) {
        return error;
    }
    char uuid[37] = "";
    error = saga_parking_slot_create(participant, name, uuid, fault);
    saga_participant_close(participant);
    if (error != SAGA_OK) {
        return error;
    }
    return saga_print_object(
        json_pack("{s:s, s:s, s:s}", "uuid", uuid, "name", name, "status", "available"), fault);
}

static enum saga_error list_slots(struct saga_verb_input *input, struct saga_fault *fault) {
    return saga_print_rows(saga_parking_service(), input->database, SLOT_COLUMNS "ORDER BY rowid",
                           NULL, NULL, fault);
}

static enum saga_error show_slot(struct saga_verb_input *input, struct saga_fault *fault) {
    /* Any part of an id that is in one slot's alone will do; a whole one is always. */
    size_t count;
    enum saga_error error = saga_print_rows(
        saga_parking_service(), input->database,
        SLOT_COLUMNS "WHERE uuid = ?1 OR (instr(uuid, ?1) > 0 AND 1 = "
                     "(SELECT count(*) FROM parking_slots WHERE instr(uuid, ?1) > 0))",
        input->argument, &count, fault);
    if (error == SAGA_OK && count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "no slot has this id, or several have it as a part: %s; try "
                              "parking_slot_list",
                              input->argument);
    }
    return error;
}

static enum saga_error serve(struct saga_verb_input *input, struct saga_fault *fault) {
    const struct saga_served served = {
        .service = saga_parking_service(),
        .title = "Parking",
        .http_port = 8000,
        .bindings = {"parking.#"},
    };
    return saga_serve(input, &served, fault);
}

static const struct saga_verb verbs[] = {
    {"create_parking_slot", NULL, "Adds a slot that is available, and shows it.", create_options,
     true, create_slot},
    {"parking_slot_list", NULL, "Shows all slots.", NULL, true, list_slots},
    {"parking_slot_details", "UUID", "Shows one slot; a unique part of its id will do.", NULL, true,
     show_slot},
    {"serve", NULL, SAGA_SERVE_DOC, saga_serve_options, true, serve, true},
};

int main(int argc, char **argv) {
    return saga_command_line_run(
        argc, argv,
        "The parking service of the booking example: its slots, one JSON object a line.", verbs,
        sizeof verbs / sizeof verbs[0]);
}
