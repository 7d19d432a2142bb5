#include "askers.h"

#include <jansson.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"

struct saga_askers {
    void *root; /* of glibc's tree */
};

struct answer {
    struct saga_amqp_outgoing outgoing;
    char *body;
    char texts[];
};

static int by_id(const void *a, const void *b) {
    const struct saga_asker *one = a;
    const struct saga_asker *other = b;
    return memcmp(&one->saga, &other->saga, sizeof one->saga);
}

static bool has_ended(const char *status) {
    static const char *const open[] = {"running", "compensating", "parked", "quarantined"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        if (strcmp(status, open[i]) == 0) {
            return false;
        }
    }
    return true;
}

struct saga_askers *saga_askers_open(void) {
    return calloc(1, sizeof(struct saga_askers));
}

void saga_askers_close(struct saga_askers *askers) {
    if (askers != NULL) {
        tdestroy(askers->root, free);
        free(askers);
    }
}

static struct saga_asker *take(struct saga_askers *askers, const struct saga_id *id) {
    const struct saga_asker key = {.saga = *id};
    struct saga_asker *const *found = tfind(&key, &askers->root, by_id);
    if (found == NULL) {
        return NULL;
    }
    struct saga_asker *asker = *found;
    (void)tdelete(&key, &askers->root, by_id);
    return asker;
}

bool saga_askers_join(struct saga_askers *askers, const struct saga_id *id, const char *status,
                      const struct saga_asker *asker) {
    const size_t reply_to_size = strlen(asker->reply_to) + 1;
    const size_t correlation_size = strlen(asker->correlation_id) + 1;
    if (has_ended(status)) {
        return true;
    }
    free(take(askers, id));
    struct saga_asker *copy = malloc(sizeof *copy + reply_to_size + correlation_size);
    if (copy == NULL) {
        return false;
    }
    char *texts = (char *)(copy + 1);
    *copy = (struct saga_asker){.saga = *id, .persistent = asker->persistent};
    copy->reply_to = memcpy(texts, asker->reply_to, reply_to_size);
    copy->correlation_id = memcpy(texts + reply_to_size, asker->correlation_id, correlation_size);
    if (tsearch(copy, &askers->root, by_id) == NULL) {
        free(copy);
        return false;
    }
    return true;
}

struct saga_asker *saga_askers_leave(struct saga_askers *askers, const struct saga_id *id,
                                     const char *status) {
    return has_ended(status) ? take(askers, id) : NULL;
}

static char *text_of(json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

char *saga_asker_outcome(const struct saga_id *id, const char *status) {
    char text[SAGA_ID_TEXT_SIZE];
    return text_of(json_pack("{s:s, s:s}", "id", saga_id_text(id, text), "status", status));
}

/* What is quoted came from anybody, and may have been cut in the middle of a character: JSON is
 * UTF-8. */
static json_t *mended(const char *text) {
    json_t *json = json_string(text);
    char *copy = json == NULL ? strdup(text) : NULL;
    for (char *c = copy; json == NULL && c != NULL && *c != '\0'; c++) {
        if ((*c & 0x80) != 0) {
            *c = '?';
            json = json_string(copy);
        }
    }
    free(copy);
    return json;
}

char *saga_asker_refusal(const char *text) {
    return text_of(json_pack("{s:o}", "error", mended(text)));
}

void saga_asker_message_free(struct saga_amqp_outgoing *outgoing) {
    struct answer *answer = (struct answer *)(void *)outgoing; /* its first member */
    free(answer->body);
    free(answer);
}

struct saga_amqp_outgoing *saga_asker_message(const struct saga_asker *asker, const char *type,
                                              char *body) {
    const size_t reply_to_size = strlen(asker->reply_to) + 1;
    const size_t correlation_size = strlen(asker->correlation_id) + 1;
    struct answer *answer =
        body == NULL ? NULL : malloc(sizeof *answer + reply_to_size + correlation_size);
    if (answer == NULL) {
        free(body);
        return NULL;
    }
    memcpy(answer->texts, asker->reply_to, reply_to_size);
    memcpy(answer->texts + reply_to_size, asker->correlation_id, correlation_size);
    answer->body = body;
    answer->outgoing = (struct saga_amqp_outgoing){
        .message = {.exchange = "",
                    .routing_key = answer->texts,
                    .correlation_id = answer->texts + reply_to_size,
                    .type = type,
                    .content_type = "application/json",
                    .persistent = asker->persistent,
                    .body = body,
                    .body_size = strlen(body)},
    };
    return &answer->outgoing;
}
