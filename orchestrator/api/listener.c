#include "listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG     128
#define SOCKET_MODE 0660

static enum saga_error failed(struct saga_fault *fault, const char *listen, const char *doing) {
    return saga_fault_set(fault, SAGA_ERROR_FAILED, "cannot listen on %s: %s: %s", listen, doing,
                          strerror(errno));
}

/* -------------------------------------------------------------------- unix */

/* The directory is held open, so that a socket's address of 107 characters can
 * name a file in it however long its own name is. */
static enum saga_error open_directory(struct saga_listener *listener, const char *path,
                                      const char *listen, struct saga_fault *fault) {
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > 64) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "cannot listen on %s: a socket's file needs a name of at most 64 "
                              "characters",
                              listen);
    }
    if (size >= sizeof directory) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE, "cannot listen on %.80s...: too long",
                              listen);
    }
    memcpy(directory, path, size);
    directory[size] = '\0';
    listener->directory_fd = open(size == 0 ? "." : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (listener->directory_fd < 0) {
        return failed(fault, listen, "its directory");
    }
    char *absolute = realpath(size == 0 ? "." : directory, NULL);
    listener->name = strdup(name);
    if (absolute == NULL || listener->name == NULL ||
        asprintf(&listener->address, "unix:%s/%s", strcmp(absolute, "/") == 0 ? "" : absolute,
                 name) < 0) {
        listener->address = NULL;
        free(absolute);
        return failed(fault, listen, "its directory");
    }
    free(absolute);
    return SAGA_OK;
}

static struct sockaddr_un unix_address(const struct saga_listener *listener) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = listener->address + strlen("unix:");
    if (strlen(path) < sizeof address.sun_path) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        return address;
    }
    const int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                              listener->directory_fd, listener->name);
    assert(size > 0 && (size_t)size < sizeof address.sun_path);
    return address;
}

/* A daemon that was killed leaves its file: nobody answers there any more. */
static enum saga_error remove_stale(const struct saga_listener *listener, const char *listen,
                                    struct saga_fault *fault) {
    struct stat status;
    if (fstatat(listener->directory_fd, listener->name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? SAGA_OK : failed(fault, listen, "looking for an old socket");
    }
    if (!S_ISSOCK(status.st_mode)) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "cannot listen on %s: the file is there already, and is no socket; "
                              "remove it, or listen elsewhere",
                              listen);
    }
    const struct sockaddr_un address = unix_address(listener);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return failed(fault, listen, "socket");
    }
    const int connected = connect(fd, (const struct sockaddr *)&address, sizeof address);
    const int error = connected == 0 ? 0 : errno;
    (void)close(fd);
    if (error != ECONNREFUSED) {
        errno = error;
        return error == 0 || error == EAGAIN
                   ? saga_fault_set(fault, SAGA_ERROR_FAILED,
                                    "cannot listen on %s: somebody listens there; stop that "
                                    "daemon, or listen elsewhere",
                                    listen)
                   : failed(fault, listen, "asking whether somebody listens there");
    }
    if (unlinkat(listener->directory_fd, listener->name, 0) != 0) {
        return failed(fault, listen, "removing the socket of a daemon that is gone");
    }
    return SAGA_OK;
}

static enum saga_error open_unix(struct saga_listener *listener, const char *path,
                                 const char *listen_on, struct saga_fault *fault) {
    struct stat status;
    enum saga_error error = open_directory(listener, path, listen_on, fault);
    if (error == SAGA_OK) {
        error = remove_stale(listener, listen_on, fault);
    }
    if (error != SAGA_OK) {
        return error;
    }
    const struct sockaddr_un address = unix_address(listener);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode of the file is never wider than it will be: the socket's own is taken by bind. */
    if (listener->fd < 0 || fchmod(listener->fd, SOCKET_MODE & 0600) != 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return failed(fault, listen_on, "bind");
    }
    if (fstatat(listener->directory_fd, listener->name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return failed(fault, listen_on, "its file");
    }
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    if (listen(listener->fd, BACKLOG) != 0 ||
        fchmodat(listener->directory_fd, listener->name, SOCKET_MODE, 0) != 0) {
        return failed(fault, listen_on, "listen");
    }
    return SAGA_OK;
}

static void remove_file(const struct saga_listener *listener) {
    struct stat status;
    if (listener->inode != 0 &&
        fstatat(listener->directory_fd, listener->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode) {
        (void)unlinkat(listener->directory_fd, listener->name, 0);
    }
}

/* --------------------------------------------------------------------- tcp */

struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size;
};

/* False: it is none of this machine's own. */
static bool loopback(const char *host, struct endpoint *endpoint) {
    *endpoint = (struct endpoint){0};
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &endpoint->address.v4.sin_addr) == 1) {
        endpoint->address.v4.sin_family = AF_INET;
        endpoint->size = sizeof endpoint->address.v4;
        return ntohl(endpoint->address.v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &endpoint->address.v6.sin6_addr) == 1) {
        endpoint->address.v6.sin6_family = AF_INET6;
        endpoint->size = sizeof endpoint->address.v6;
        return IN6_IS_ADDR_LOOPBACK(&endpoint->address.v6.sin6_addr);
    }
    return false;
}

/* "HOST:PORT" or "[HOST]:PORT". */
static bool split(const char *text, char *host, size_t host_size, uint16_t *port) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0' || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return false;
    }
    const long number = strtol(colon + 1, NULL, 10);
    const bool bracketed = *text == '[' && colon[-1] == ']';
    const char *begin = text + bracketed;
    const size_t size = (size_t)(colon - text) - 2 * (size_t)bracketed;
    if (number > UINT16_MAX || size == 0 || size >= host_size) {
        return false;
    }
    memcpy(host, begin, size);
    host[size] = '\0';
    *port = (uint16_t)number;
    return bracketed == (strchr(host, ':') != NULL);
}

static enum saga_error name_endpoint(struct saga_listener *listener, struct endpoint *endpoint,
                                     const char *listen_on, struct saga_fault *fault) {
    char host[INET6_ADDRSTRLEN];
    if (getsockname(listener->fd, &endpoint->address.any, &endpoint->size) != 0) {
        return failed(fault, listen_on, "getsockname");
    }
    if (endpoint->address.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &endpoint->address.v4.sin_addr, host, sizeof host);
        (void)snprintf(listener->host, sizeof listener->host, "%s", host);
        listener->port = ntohs(endpoint->address.v4.sin_port);
    } else {
        (void)inet_ntop(AF_INET6, &endpoint->address.v6.sin6_addr, host, sizeof host);
        (void)snprintf(listener->host, sizeof listener->host, "[%s]", host);
        listener->port = ntohs(endpoint->address.v6.sin6_port);
    }
    if (asprintf(&listener->address, "http://%s:%u", listener->host, listener->port) < 0) {
        listener->address = NULL;
        return failed(fault, listen_on, "no memory");
    }
    return SAGA_OK;
}

static enum saga_error open_tcp(struct saga_listener *listener, const char *place,
                                const char *listen_on, struct saga_fault *fault) {
    struct endpoint endpoint;
    char host[INET6_ADDRSTRLEN];
    uint16_t port;
    const int on = 1;
    if (!split(place, host, sizeof host, &port)) {
        return saga_fault_set(fault, SAGA_ERROR_USAGE,
                              "cannot listen on %s: expected tcp:HOST:PORT, such as "
                              "tcp:127.0.0.1:8090 or tcp:[::1]:0",
                              listen_on);
    }
    if (!loopback(host, &endpoint)) {
        return saga_fault_set(
            fault, SAGA_ERROR_USAGE,
            "cannot listen on %s: only loopback addresses are allowed (localhost, "
            "127.0.0.1, [::1]), since who reaches the API may do everything; "
            "reach it from elsewhere through ssh -L",
            listen_on);
    }
    if (endpoint.address.any.sa_family == AF_INET) {
        endpoint.address.v4.sin_port = htons(port);
    } else {
        endpoint.address.v6.sin6_port = htons(port);
    }
    listener->tcp = true;
    listener->fd =
        socket(endpoint.address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Connections of a daemon that was killed must not keep the port from the next one. */
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(listener->fd, &endpoint.address.any, endpoint.size) != 0 ||
        listen(listener->fd, BACKLOG) != 0) {
        return failed(fault, listen_on, "bind");
    }
    return name_endpoint(listener, &endpoint, listen_on, fault);
}

/* ----------------------------------------------------------------- any kind */

enum saga_error saga_listener_open(struct saga_listener *listener, const char *listen,
                                   struct saga_fault *fault) {
    enum saga_error error;
    *listener = (struct saga_listener){.fd = -1, .directory_fd = -1};
    if (strncmp(listen, "unix:", 5) == 0) {
        error = open_unix(listener, listen + 5, listen, fault);
    } else if (strncmp(listen, "tcp:", 4) == 0) {
        error = open_tcp(listener, listen + 4, listen, fault);
    } else {
        error =
            saga_fault_set(fault, SAGA_ERROR_USAGE,
                           "cannot listen on '%s': expected unix:PATH or tcp:HOST:PORT", listen);
    }
    if (error != SAGA_OK) {
        saga_listener_close(listener);
    }
    return error;
}

void saga_listener_close(struct saga_listener *listener) {
    /* The file first: while the socket is open nobody takes it for stale. */
    if (listener->directory_fd >= 0) {
        remove_file(listener);
        (void)close(listener->directory_fd);
    }
    if (listener->fd >= 0) {
        (void)close(listener->fd);
    }
    free(listener->name);
    free(listener->address);
    *listener = (struct saga_listener){.fd = -1, .directory_fd = -1};
}

bool saga_listener_is_named(const struct saga_listener *listener, const char *host) {
    char with_port[96];
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]", listener->host};
    if (!listener->tcp) {
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(with_port, sizeof with_port, "%s:%u", names[i], listener->port);
        if (strcasecmp(host, with_port) == 0 ||
            (listener->port == 80 && strcasecmp(host, names[i]) == 0)) {
            return true;
        }
    }
    return false;
}
