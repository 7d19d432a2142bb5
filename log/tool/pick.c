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

/* By any part of it. */
static enum saga_error find_part(struct saga_muster *muster, const char *argument, const char *part,
                                 struct saga_muster_line *line, struct saga_fault *fault) {
    struct saga_muster_match match;
    enum saga_error error = saga_muster_match(muster, part, &match, fault);
    if (error != SAGA_OK) {
        return error;
    }
    if (match.count != 1) {
        return refuse(argument, &match, fault);
    }
    return saga_muster_matched(muster, &match.candidates[0], line, fault);
}

static enum saga_error find_whole(struct saga_muster *muster, const char *argument,
                                  const struct saga_id *id, struct saga_muster_line *line,
                                  struct saga_fault *fault) {
    static const struct saga_muster_match none;
    const enum saga_error error = saga_muster_find(muster, id, line, fault);
    return error == SAGA_ERROR_NOT_FOUND ? refuse(argument, &none, fault) : error;
}

enum saga_error saga_pick(struct saga_log_reader *reader, const char *argument,
                          struct saga_muster_line *line, struct saga_fault *fault) {
    static const struct saga_muster_match none;
    char part[SAGA_ID_TEXT_SIZE];
    struct saga_muster *muster;
    struct saga_id id;
    *line = (struct saga_muster_line){0};
    if (!lower(argument, part)) {
        return refuse(argument, &none, fault);
    }
    enum saga_error error = saga_muster_open(&muster, reader, &saga_muster_all, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = saga_id_parse(part, strlen(part), &id) ? find_whole(muster, argument, &id, line, fault)
                                                   : find_part(muster, argument, part, line, fault);
    line->state = NULL; /* the muster's */
    saga_muster_close(muster);
    return error;
}
