/*
 * What the daemon itself weighs: from exec to ready on an empty log, its memory
 * when idle, and the size of its program.
 *
 *   bench-daemon [--sagad PATH] [--rounds N]
 *
 * Ready is when GET /readyz over the unix socket answers 200. Medians.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 101

static double seconds(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what) {
    (void)fprintf(stderr, "bench-daemon: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* True if the daemon says that it is ready. Its socket is not there at first. */
static int is_ready(const char *path) {
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[64] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int ready = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                write(fd, request, sizeof request - 1) == (ssize_t)sizeof request - 1 &&
                read(fd, answer, sizeof answer - 1) > 0 && strstr(answer, " 200 ") != NULL;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ready;
}

static long kilobytes(pid_t pid, const char *name) {
    char path[64];
    char line[256];
    long value = -1;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        die(path);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtol(line + strlen(name), NULL, 10);
        }
    }
    (void)fclose(file);
    return value;
}

static void remove_tree(const char *dir) {
    static const char *const files[] = {"log/log.id", "log/data.mdb", "log/lock.mdb",  "log",
                                        "sagad.lock", "sagad.sock",   "recovery.guard"};
    char path[256];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(path);
    }
    (void)remove(dir);
}

struct measure {
    double ready_ms;
    long anonymous_kb;
    long resident_kb;
};

static struct measure measure(const char *sagad) {
    char dir[] = "/tmp/bench-daemon-XXXXXX";
    char socket_path[64];
    struct measure result;
    if (mkdtemp(dir) == NULL || chmod(dir, 0750) != 0) {
        die(dir);
    }
    (void)snprintf(socket_path, sizeof socket_path, "%s/sagad.sock", dir);
    double begin = seconds();
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(127);
        }
        (void)execl(sagad, "sagad", "--data-dir", dir, (char *)NULL);
        _exit(127);
    }
    if (child < 0) {
        die("fork");
    }
    while (!is_ready(socket_path)) {
        struct timespec pause = {.tv_nsec = 200000};
        int status;
        if (waitpid(child, &status, WNOHANG) == child) {
            (void)fprintf(stderr, "bench-daemon: %s ended before it was ready\n", sagad);
            exit(1);
        }
        (void)nanosleep(&pause, NULL);
    }
    result.ready_ms = (seconds() - begin) * 1e3;
    result.anonymous_kb = kilobytes(child, "RssAnon:");
    result.resident_kb = kilobytes(child, "VmRSS:");
    (void)kill(child, SIGTERM);
    (void)waitpid(child, NULL, 0);
    remove_tree(dir);
    return result;
}

static int by_time(const void *a, const void *b) {
    double left = ((const struct measure *)a)->ready_ms;
    double right = ((const struct measure *)b)->ready_ms;
    return (left > right) - (left < right);
}

static const char *beside(const char *argv0) {
    static char path[512];
    const char *slash = strrchr(argv0, '/');
    (void)snprintf(path, sizeof path, "%.*s/../bin/sagad", slash != NULL ? (int)(slash - argv0) : 1,
                   slash != NULL ? argv0 : ".");
    return path;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"sagad", required_argument, NULL, 's'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    struct measure rounds[ROUNDS_MAX];
    const char *sagad = beside(argv[0]);
    size_t count = 21;
    struct stat file;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's') {
            sagad = optarg;
        } else if (option == 'r') {
            count = strtoul(optarg, NULL, 10);
        }
        if (option == '?' || count < 1 || count > ROUNDS_MAX) {
            (void)fprintf(stderr, "usage: %s [--sagad PATH] [--rounds 1..%d]\n", argv[0],
                          ROUNDS_MAX);
            return 2;
        }
    }
    if (stat(sagad, &file) != 0) {
        die(sagad);
    }
    for (size_t i = 0; i < count; i++) {
        rounds[i] = measure(sagad);
    }
    qsort(rounds, count, sizeof rounds[0], by_time);
    const struct measure *median = &rounds[count / 2];
    (void)printf("exec to ready on an empty log: %.1f ms (median of %zu; %.1f to %.1f)\n",
                 median->ready_ms, count, rounds[0].ready_ms, rounds[count - 1].ready_ms);
    (void)printf("idle: %.1f MB of its own memory, %.1f MB resident with shared libraries\n",
                 (double)median->anonymous_kb / 1024, (double)median->resident_kb / 1024);
    (void)printf("program: %.0f KB with symbols as built\n", (double)file.st_size / 1024);
    return 0;
}
