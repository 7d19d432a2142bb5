/*
 * Identities: UUIDv7 (RFC 9562) and their texts, and the text of a command id.
 *
 * Threads: a source belongs to one thread.
 */
#ifndef SAGA_IDS_H
#define SAGA_IDS_H

#include "saga.h"

#define SAGA_ID_TEXT_SIZE      37 /* 36 characters and a NUL */
#define SAGA_COMMAND_TEXT_SIZE 256

/* Makes ids that rise, even when the clock does not. */
struct saga_id_source {
    void (*random)(void *context, void *bytes, size_t size);
    void *context;
    int64_t last_ms;
    uint16_t counter; /* 12 bits, in the millisecond last_ms */
};

struct saga_id saga_id_make(struct saga_id_source *source, int64_t now_ms);

/* When it was made, in ms since 1970 UTC: what a UUIDv7 begins with. */
int64_t saga_id_ms(const struct saga_id *id);

/* Lower-case text; `text` has SAGA_ID_TEXT_SIZE bytes. Returns it. */
char *saga_id_text(const struct saga_id *id, char *text);

/* Exactly 36 characters, lower case. False: it is none. */
SAGA_CHECKED bool saga_id_parse(const char *text, size_t size, struct saga_id *id);

/* "<saga>/<step>/<incarnation>/<operation>/<revision>", the step by its name;
 * `text` has SAGA_COMMAND_TEXT_SIZE bytes. Returns it. */
char *saga_command_text(const struct saga_command_id *id, const char *step_name, char *text);

/* The parts of such a text; the step's name is given back as a part of `text`.
 * id->step is not set. False: it is none. */
SAGA_CHECKED bool saga_command_parse(const char *text, size_t size, struct saga_command_id *id,
                                     const char **step_name, size_t *step_name_size);

#endif
