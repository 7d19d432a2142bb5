#include "demo_services.h"

#include <limits.h>
#include <stdio.h>

#include "billing.h"
#include "booking.h"
#include "parking.h"

static enum saga_error open_one(struct saga_participant **participant, const char *name,
                                const struct saga_service *service, const char *directory,
                                const struct saga_participant_switches *switches,
                                struct saga_fault *fault) {
    const struct saga_participant_options options = {
        .switches = *switches,
        .pause = saga_local_pause, /* the transport waits, command by command */
    };
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s.db", directory, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "the data directory's name is too long");
    }
    return saga_participant_open(participant, service, path, &options, fault);
}

enum saga_error saga_demo_services_open(struct saga_demo_services *services,
                                        struct saga_local *local, const char *directory,
                                        const struct saga_participant_switches *switches,
                                        struct saga_fault *fault) {
    static const char *const names[SAGA_DEMO_SERVICE_COUNT] = {"parking", "booking", "billing"};
    const struct saga_service *const all[SAGA_DEMO_SERVICE_COUNT] = {
        saga_parking_service(),
        saga_booking_service(),
        saga_billing_service(),
    };
    enum saga_error error =
        saga_participant_switches_check(switches, all, SAGA_DEMO_SERVICE_COUNT, fault);
    for (size_t i = 0; i < SAGA_DEMO_SERVICE_COUNT && error == SAGA_OK; i++) {
        error = open_one(&services->participants[i], names[i], all[i], directory, switches, fault);
        if (error == SAGA_OK) {
            error = saga_local_add(local, services->participants[i], switches, fault);
        }
    }
    return error;
}

void saga_demo_services_close(struct saga_demo_services *services) {
    for (size_t i = 0; i < SAGA_DEMO_SERVICE_COUNT; i++) {
        saga_participant_close(services->participants[i]);
        services->participants[i] = NULL;
    }
}
