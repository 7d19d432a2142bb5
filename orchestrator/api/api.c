#include "api.h"

#include <stdlib.h>
#include <string.h>

#include "server.h"

struct saga_api {
    struct saga_exchange_world world;
    struct saga_server *server;
};

static enum saga_error no_memory(struct saga_fault *fault) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for the API");
}

static enum saga_error copy_definitions(struct saga_api *api,
                                        const struct saga_api_options *options,
                                        struct saga_fault *fault) {
    api->world.definitions = calloc(options->definition_count + 1, sizeof *api->world.definitions);
    if (api->world.definitions == NULL) {
        return no_memory(fault);
    }
    for (size_t i = 0; i < options->definition_count; i++) {
        struct saga_api_definition *copy = &api->world.definitions[i];
        copy->version = options->definitions[i].version;
        copy->name = strdup(options->definitions[i].name);
        copy->hash = strdup(options->definitions[i].hash);
        api->world.definition_count++;
        if (copy->name == NULL || copy->hash == NULL) {
            return no_memory(fault);
        }
    }
    return SAGA_OK;
}

static void free_definitions(struct saga_api *api) {
    for (size_t i = 0; i < api->world.definition_count; i++) {
        free((void *)(uintptr_t)api->world.definitions[i].name);
        free((void *)(uintptr_t)api->world.definitions[i].hash);
    }
    free(api->world.definitions);
}

static struct saga_server_limits limits_of(const struct saga_api_options *options) {
    return (struct saga_server_limits){
        .connections_max = options->connections_max != 0 ? options->connections_max : 512,
        .head_ms = options->head_ms != 0 ? options->head_ms : 10000,
        .body_ms = options->body_ms != 0 ? options->body_ms : 30000,
        .write_ms = options->write_ms != 0 ? options->write_ms : 30000,
        .idle_ms = options->idle_ms != 0 ? options->idle_ms : 75000,
    };
}

static enum saga_error open_parts(struct saga_api *api, const struct saga_api_options *options,
                                  struct saga_fault *fault) {
    const struct saga_server_limits limits = limits_of(options);
    enum saga_error error = copy_definitions(api, options, fault);
    if (error == SAGA_OK) {
        error = saga_waiters_open(&api->world.waiters, fault);
    }
    if (error == SAGA_OK) {
        error = saga_listener_open(&api->world.listener, options->listen, fault);
    }
    if (error == SAGA_OK) {
        api->world.waiting_max = limits.connections_max * 3 / 4;
        error = saga_server_open(&api->server, &api->world, options->inbox, &limits, fault);
    }
    return error;
}

enum saga_error saga_api_open(struct saga_api **api, const struct saga_api_options *options,
                              struct saga_fault *fault) {
    struct saga_api *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return no_memory(fault);
    }
    opened->world.log = options->log;
    opened->world.engine = options->engine;
    opened->world.more_stats = options->more_stats;
    opened->world.more_ready = options->more_ready;
    opened->world.more_context = options->more_context;
    opened->world.listener = (struct saga_listener){.fd = -1, .directory_fd = -1};
    const enum saga_error error = open_parts(opened, options, fault);
    if (error != SAGA_OK) {
        saga_api_close(opened);
        return error;
    }
    *api = opened;
    return SAGA_OK;
}

void saga_api_close(struct saga_api *api) {
    if (api == NULL) {
        return;
    }
    saga_server_close(api->server);
    saga_listener_close(&api->world.listener);
    saga_waiters_close(api->world.waiters);
    free_definitions(api);
    free(api);
}

void saga_api_changed(struct saga_api *api, const struct saga_id *id, const char *status) {
    if (saga_status_is_final(status)) {
        saga_waiters_wake(api->world.waiters, id);
    }
}

void saga_api_ready(struct saga_api *api, bool ready) {
    atomic_store(&api->world.ready, ready);
}

const char *saga_api_address(const struct saga_api *api) {
    return api->world.listener.address;
}
