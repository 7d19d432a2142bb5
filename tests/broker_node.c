#include "broker_node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 32

static char printed[1 << 20];

static void need(bool success, const char *what) {
    if (!success) {
        (void)fprintf(stderr, "broker node: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

/* In the child. What starts the node must not keep the test's files open. */
static void become(const char *const *words, int output) {
    if (dup2(output, STDOUT_FILENO) == STDOUT_FILENO && close_range(3, ~0U, 0) == 0) {
        (void)execv(words[0], (char *const *)(uintptr_t)words);
    }
    (void)dprintf(STDERR_FILENO, "%s cannot be run: %s\n", words[0], strerror(errno));
    _exit(127);
}

static void read_all(int fd) {
    size_t size = 0;
    for (;;) {
        const ssize_t count = read(fd, printed + size, sizeof printed - 1 - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        need(count >= 0, "reading from it");
        if (count == 0) {
            break;
        }
        size += (size_t)count;
        need(size < sizeof printed - 1, "it prints too much");
    }
    printed[size] = '\0';
}

/* Runs a program, and keeps what it prints. */
static void run(const char *const *words) {
    int ends[2];
    int status;
    need(pipe(ends) == 0, "a pipe");
    (void)fflush(NULL);
    const pid_t child = fork();
    need(child >= 0, "a process");
    if (child == 0) {
        become(words, ends[1]);
    }
    (void)close(ends[1]);
    read_all(ends[0]);
    (void)close(ends[0]);
    while (waitpid(child, &status, 0) < 0) {
        need(errno == EINTR, "waiting for it");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)fprintf(stderr, "broker node: %s %s: wait status %d\n%s\n", words[0], words[1],
                      status, printed);
        exit(EXIT_FAILURE);
    }
}

/* scripts/broker VERB DIR WORD... */
static void broker(const struct broker_node *node, const char *verb, const char *const *more) {
    const char *words[WORDS_MAX] = {SAGA_BROKER, verb, node->path};
    size_t count = 3;
    for (; more != NULL && *more != NULL; more++) {
        errno = E2BIG;
        need(count + 1 < WORDS_MAX, "fewer words");
        words[count++] = *more;
    }
    run(words);
}

/* Takes a URL over, to the line's end. */
static void note_url(const char *line, char url[128], uint16_t *port) {
    const int size = (int)strcspn(line, "\n");
    errno = EPROTO;
    need(size > 0 && size < 128, "it printed no URL");
    (void)snprintf(url, 128, "%.*s", size, line);
    const char *colon = strrchr(url, ':');
    need(colon != NULL, "its URL has no port");
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

void broker_node_start(struct broker_node *node) {
    const char *with = node->tls == NULL ? NULL : "--tls";
    broker(node, "start", (const char *const[]){"--for", node->owner, with, node->tls, NULL});
    note_url(printed, node->url, &node->port);
    if (node->tls != NULL) {
        note_url(printed + strcspn(printed, "\n") + 1, node->tls_url, &node->tls_port);
    }
}

void broker_node_open(struct broker_node *node) {
    const char *parent = getenv("TMPDIR");
    (void)snprintf(node->owner, sizeof node->owner, "%d", (int)getpid());
    (void)snprintf(node->path, sizeof node->path, "%s/saga-broker-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    need(mkdtemp(node->path) != NULL, node->path);
    broker_node_start(node);
}

void broker_node_stop(struct broker_node *node) {
    broker(node, "stop", NULL);
}

void broker_node_kill(struct broker_node *node) {
    broker(node, "kill", NULL);
}

void broker_node_pause(struct broker_node *node) {
    broker(node, "pause", NULL);
}

void broker_node_resume(struct broker_node *node) {
    broker(node, "resume", NULL);
}

void broker_node_alarm(struct broker_node *node, bool on) {
    broker(node, "alarm", (const char *const[]){on ? "on" : "off", NULL});
}

void broker_node_certificate(struct broker_node *node, const char *which) {
    broker(node, "certificate", (const char *const[]){which, NULL});
}

const char *broker_node_tls_file(const struct broker_node *node, const char *name) {
    static char paths[16][sizeof node->path + 64];
    static unsigned next;
    char *path = paths[next++ % 16];
    (void)snprintf(path, sizeof paths[0], "%s/tls/%s", node->path, name);
    return path;
}

void broker_node_wipe(struct broker_node *node) {
    broker(node, "wipe", NULL);
}

const char *broker_node_ctl(struct broker_node *node, const char *const *words) {
    broker(node, "ctl", words);
    return printed;
}

void broker_node_close(struct broker_node *node) {
    broker_node_kill(node);
    run((const char *const[]){"/bin/rm", "-rf", node->path, NULL});
}
