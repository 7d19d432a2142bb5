#include "playground.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As in docs/protocol.md: for the owner, and a group that may look. */
#define DIRECTORY_MODE 0750

static enum saga_error make_temporary(struct saga_config *config, struct saga_fault *fault) {
    const char *parent = getenv("TMPDIR");
    parent = parent != NULL && parent[0] != '\0' ? parent : "/tmp";
    char *path = NULL;
    if (asprintf(&path, "%s/sagad-dev-XXXXXX", parent) < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a directory's name");
    }
    if (mkdtemp(path) == NULL || chmod(path, DIRECTORY_MODE) != 0) {
        enum saga_error error =
            saga_fault_set(fault, SAGA_ERROR_FAILED,
                           "no temporary directory can be made in %.300s: %s; give one with "
                           "--data-dir",
                           parent, strerror(errno));
        free(path);
        return error;
    }
    config->data_dir = path;
    return SAGA_OK;
}

/* The commands that are printed work from any directory. */
static enum saga_error make_absolute(struct saga_config *config, struct saga_fault *fault) {
    char *path = realpath(config->data_dir, NULL);
    if (path == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "--data-dir %.300s: %s", config->data_dir,
                              strerror(errno));
    }
    free(config->data_dir);
    config->data_dir = path;
    return SAGA_OK;
}

enum saga_error saga_playground_prepare(struct saga_config *config, struct saga_fault *fault) {
    if (config->data_dir == NULL) {
        enum saga_error error = make_temporary(config, fault);
        if (error != SAGA_OK) {
            return error;
        }
    } else if (mkdir(config->data_dir, DIRECTORY_MODE) != 0 && errno != EEXIST) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "--data-dir %.300s cannot be made: %s",
                              config->data_dir, strerror(errno));
    }
    return make_absolute(config, fault);
}

/* Where the other programs are: beside this one. */
static void print_path(void) {
    char program[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) {
        return;
    }
    program[size] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
        (void)printf("  PATH=%s:$PATH\n", program);
    }
}

void saga_playground_greet(const struct saga_config *config, const char *address) {
    (void)printf("sagad dev: the daemon, and the services parking, booking and billing\n"
                 "data       %s\n"
                 "API        %s\n"
                 "\n"
                 "Next, in another terminal:\n"
                 "\n",
                 config->data_dir, address);
    print_path();
    (void)printf("  DIR=%s\n"
                 "  slot=$(parking --db $DIR/parking.db create_parking_slot --name='Slot 1' |\n"
                 "         sed 's/.*\"uuid\": *\"\\([^\"]*\\)\".*/\\1/')\n"
                 "  sagactl start booking --data-dir $DIR --wait \\\n"
                 "          --input '{\"parking_slot_uuid\": \"'$slot'\", \"total\": 10000}'\n"
                 "  sagalog --data-dir $DIR list\n"
                 "  parking --db $DIR/parking.db parking_slot_list\n"
                 "\n"
                 "The same start again finds the slot taken. Kill this process whenever you like:\n"
                 "\n"
                 "  kill -9 %ld\n"
                 "\n"
                 "and start it again with --data-dir $DIR: it goes on where it was.\n",
                 config->data_dir, (long)getpid());
    (void)fflush(stdout);
}
