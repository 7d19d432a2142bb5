#include "health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX      32
#define TIMEOUT_S            5
#define CONNECTION_BYTES_MAX 8192

struct saga_health {
    struct MHD_Daemon *daemon;
    char body[96];
};

/* An address of either family, as bind() takes it. */
struct place {
    struct sockaddr_storage storage;
    unsigned flags;
};

static bool read_address(const char *address, uint16_t port, struct place *place) {
    struct sockaddr_in *four = (struct sockaddr_in *)&place->storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&place->storage;
    *place = (struct place){0};
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        place->flags = MHD_USE_IPv6;
        return true;
    }
    return false;
}

/* Queues an answer; `body` outlives the server. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              const char *body) {
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO; /* ends the connection */
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request) {
    static char seen;
    const struct saga_health *health = context;
    (void)version;
    (void)upload;
    if (*request == NULL) {
        *request = &seen; /* the head alone: the answer comes with the next call */
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* a body says nothing here */
        return MHD_YES;
    }
    if (strcmp(url, "/health") != 0) {
        return answer(connection, MHD_HTTP_NOT_FOUND, "{\"message\": \"There is only /health\"}");
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "{\"message\": \"Use GET\"}");
    }
    return answer(connection, MHD_HTTP_OK, health->body);
}

enum saga_error saga_health_open(struct saga_health **health, const char *address, uint16_t port,
                                 const char *title, struct saga_fault *fault) {
    struct place place;
    if (!read_address(address, port, &place)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "'%.64s': expected an address in digits to listen on, e.g. 127.0.0.1 "
                              "or ::1",
                              address);
    }
    struct saga_health *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for /health");
    }
    (void)snprintf(opened->body, sizeof opened->body, "{\"message\": \"%.32s server is running\"}",
                   title);
    errno = 0;
    opened->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | place.flags, port, NULL, NULL, handle, opened,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&place.storage, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX, MHD_OPTION_END);
    if (opened->daemon == NULL) {
        const int reason = errno;
        free(opened);
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "cannot listen on %s port %u: %s; give another --http PORT, or 0 for "
                              "none",
                              address, port, reason == 0 ? "no reason is known" : strerror(reason));
    }
    *health = opened;
    return SAGA_OK;
}

void saga_health_close(struct saga_health *health) {
    if (health != NULL) {
        MHD_stop_daemon(health->daemon);
        free(health);
    }
}
