#include "input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum saga_error saga_input_read(const char *path, size_t bytes_max, char **text, size_t *size,
                                struct saga_fault *fault) {
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (file == NULL) {
        return saga_fault_set(fault, errno == ENOENT ? SAGA_ERROR_NOT_FOUND : SAGA_ERROR_FAILED,
                              "%s: %s", path, strerror(errno));
    }
    *text = malloc(bytes_max + 1);
    *size = *text != NULL ? fread(*text, 1, bytes_max + 1, file) : 0;
    const bool failed = *text == NULL || ferror(file) != 0;
    const int error = errno;
    if (!standard) {
        (void)fclose(file);
    }
    if (!failed && *size <= bytes_max) {
        (*text)[*size] = '\0';
        return SAGA_OK;
    }
    free(*text);
    *text = NULL;
    return failed ? saga_fault_set(fault, SAGA_ERROR_FAILED, "%s: %s", path, strerror(error))
                  : saga_fault_set(fault, SAGA_ERROR_INVALID,
                                   "%s: more than the limit of %zu bytes", path, bytes_max);
}
