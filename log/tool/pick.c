#include "pick.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ids.h"

/* What people type is any part of an id, in any case. False: it is too long for one. */
static bool lower(const char *argument, char part[SAGA_ID_TEXT_SIZE]) {
    const size_t size = strlen(argument);
    if (size >= SAGA_ID_TEXT_SIZE) {
        return false;
    }
    for (size_t i = 0; i <= size; i++) {
        part[i] = (char)tolower((unsigned char)argument[i]);
    }
    return true;
}

static enum saga_error refuse(const char *argument, const struct saga_muster_match *match,
                              struct saga_fault *fault) {
    char candidates[SAGA_MUSTER_CANDIDATES * (SAGA_ID_TEXT_SIZE + 1)] = "";
    char id[SAGA_ID_TEXT_SIZE];
    size_t used = 0;
    if (match->count == 0) {
        return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                              "no saga in this log has '%s' in its id; sagalog list shows them all",
                              argument);
    }
    for (size_t i = 0; i < SAGA_MUSTER_CANDIDATES && i < match->count; i++) {
        used += (size_t)snprintf(candidates + used, sizeof candidates - used, " %s",
                                 saga_id_text(&match->candidates[i], id));
    }
    return saga_fault_set(fault, SAGA_ERROR_NOT_FOUND,
                          "%" PRIu64
                          " sagas have '%s' in their ids:%s%s. Give more of the one you mean.",
                          match->count, argument, candidates,
                          match->count > SAGA_MUSTER_CANDIDATES ? " and more" : "");
}

static enum saga_error match_part(struct saga_log_reader *reader, const char *part,
                                  struct saga_muster_match *match, struct saga_fault *fault) {
    struct saga_muster *muster;
    enum saga_error error = saga_muster_open(&muster, reader, &saga_muster_all, fault);
    if (error == SAGA_OK) {
        error = saga_muster_match(muster, part, match, fault);
        saga_muster_close(muster);
    }
    return error;
}

static enum saga_error find(struct saga_log_reader *reader, const struct saga_id *id,
                            struct saga_muster_line *line, struct saga_fault *fault) {
    struct saga_muster *muster;
    enum saga_error error = saga_muster_open(&muster, reader, &saga_muster_all, fault);
    if (error == SAGA_OK) {
        error = saga_muster_find(muster, id, line, fault);
        line->state = NULL; /* the muster's */
        saga_muster_close(muster);
    }
    return error;
}

enum saga_error saga_pick(struct saga_log_reader *reader, const char *argument,
                          struct saga_muster_line *line, struct saga_fault *fault) {
    struct saga_muster_match match = {0};
    char part[SAGA_ID_TEXT_SIZE];
    struct saga_id id;
    enum saga_error error = SAGA_OK;
    *line = (struct saga_muster_line){0};
    if (!lower(argument, part)) {
        return refuse(argument, &match, fault);
    }
    if (!saga_id_parse(part, strlen(part), &id)) {
        error = match_part(reader, part, &match, fault);
        if (error == SAGA_OK && match.count != 1) {
            return refuse(argument, &match, fault);
        }
        id = match.candidates[0];
    }
    if (error == SAGA_OK) {
        error = find(reader, &id, line, fault);
    }
    return error == SAGA_ERROR_NOT_FOUND ? refuse(argument, &match, fault) : error;
}
