/*
 * The failpoint that kills: linked into sagad-failpoints in the place of the empty one.
 *
 *   SAGAD_FAILPOINT=KIND:PLACE:HIT   the HIT-th time (from 1) that the point is reached, the
 * process kills itself with SIGKILL: no handler, no buffer is left to act
 *   SAGAD_FAILPOINT_COUNTS=FILE      how often each point was reached, in a file that is mapped, so
 *                                    that it survives the death
 *
 * Threads: the engine's points are reached one after the other.
 */
#include "failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failpoint_counts.h"

static struct failpoint_counts nowhere; /* where nobody wants to know */
static struct failpoint_counts *counts = &nowhere;
static unsigned armed_kind, armed_place, armed_hit;

static void refuse(const char *what, const char *text) {
    (void)fprintf(stderr, "sagad-failpoints: %s: '%s'\n", what, text);
    exit(2);
}

static void arm(const char *text) {
    char kind[32], place[32];
    if (sscanf(text, "%31[a-z]:%31[a-z_]:%u", kind, place, &armed_hit) != 3 || armed_hit == 0) {
        refuse("SAGAD_FAILPOINT is KIND:PLACE:HIT", text);
    }
    armed_kind = failpoint_kind_number(kind);
    armed_place = failpoint_place_number(place);
    if (armed_kind == 0 || armed_place == 0) {
        refuse("SAGAD_FAILPOINT names no point", text);
    }
}

static void count_in(const char *path) {
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)sizeof *counts) != 0) {
        refuse("SAGAD_FAILPOINT_COUNTS cannot be made", path);
    }
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (counts == MAP_FAILED) {
        refuse("SAGAD_FAILPOINT_COUNTS cannot be mapped", path);
    }
    (void)close(fd);
}

__attribute__((constructor)) static void read_environment(void) {
    const char *point = getenv("SAGAD_FAILPOINT");
    const char *file = getenv("SAGAD_FAILPOINT_COUNTS");
    if (file != NULL) {
        count_in(file);
    }
    if (point != NULL) {
        arm(point);
    }
}

void saga_failpoint(enum saga_failpoint_kind kind, enum saga_failpoint_place place) {
    const uint64_t hit = ++counts->hits[kind][place];
    if ((unsigned)kind == armed_kind && (unsigned)place == armed_place && hit == armed_hit) {
        (void)kill(getpid(), SIGKILL);
    }
}
