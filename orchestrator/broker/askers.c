#include "askers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"

static char *text_of(json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

/* ------------------------------------------------------------- written down */

#define HEX "_hex"

/* A text under its name; in hexadecimal, under another, where it is not what JSON takes. */
static bool set_text(json_t *json, const char *name, const char *text) {
    char other[32], digits[2 * SAGA_AMQP_SHORT_BYTES_MAX + 1] = "";
    json_t *whole = json_string(text);
    if (whole != NULL) {
        return json_object_set_new(json, name, whole) == 0;
    }
    (void)snprintf(other, sizeof other, "%s" HEX, name);
    for (size_t i = 0; i < SAGA_AMQP_SHORT_BYTES_MAX && text[i] != '\0'; i++) {
        (void)snprintf(digits + 2 * i, 3, "%02x", (unsigned char)text[i]);
    }
    return json_object_set_new(json, other, json_string(digits)) == 0;
}

char *saga_asker_text(const struct saga_asker *asker) {
    json_t *json = json_object();
    if (json == NULL || !set_text(json, "reply_to", asker->reply_to) ||
        !set_text(json, "correlation_id", asker->correlation_id) ||
        json_object_set_new(json, "persistent", json_boolean(asker->persistent)) != 0) {
        json_decref(json);
        return NULL;
    }
    return text_of(json);
}

/* The value of a digit; -1: it is none. */
static int hex_value(char digit) {
    static const char digits[] = "0123456789abcdef";
    const char *at = digit == '\0' ? NULL : strchr(digits, digit);
    return at == NULL ? -1 : (int)(at - digits);
}

static bool read_hex(const char *digits, char *text, size_t room) {
    size_t used = 0;
    for (; digits[0] != '\0'; digits += 2) {
        const int high = hex_value(digits[0]);
        const int low = high < 0 ? -1 : hex_value(digits[1]);
        if (low < 0 || used + 1 >= room || (high == 0 && low == 0)) {
            return false;
        }
        text[used++] = (char)(high * 16 + low);
    }
    text[used] = '\0';
    return used > 0;
}

static bool get_text(const json_t *json, const char *name, char *text, size_t room) {
    char other[32];
    const char *whole = json_string_value(json_object_get(json, name));
    if (whole != NULL) {
        const int size = snprintf(text, room, "%s", whole);
        return size > 0 && (size_t)size < room;
    }
    (void)snprintf(other, sizeof other, "%s" HEX, name);
    const char *digits = json_string_value(json_object_get(json, other));
    return digits != NULL && read_hex(digits, text, room);
}

struct saga_asker *saga_asker_parse(struct saga_bytes text, const char **why) {
    char reply_to[SAGA_AMQP_SHORT_BYTES_MAX + 1], correlation_id[SAGA_AMQP_SHORT_BYTES_MAX + 1];
    json_error_t error;
    json_t *json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    const bool no_memory = json == NULL && json_error_code(&error) == json_error_out_of_memory;
    const json_t *persistent = json_object_get(json, "persistent");
    const bool whole = json_is_boolean(persistent) &&
                       get_text(json, "reply_to", reply_to, sizeof reply_to) &&
                       get_text(json, "correlation_id", correlation_id, sizeof correlation_id);
    const bool is_persistent = json_is_true(persistent);
    json_decref(json);
    struct saga_asker *asker = NULL;
    *why = whole || no_memory ? NULL : "not a reply_to and a correlation_id";
    if (whole) {
        asker = malloc(sizeof *asker + strlen(reply_to) + 1 + strlen(correlation_id) + 1);
    }
    if (asker == NULL) {
        return NULL;
    }
    char *texts = (char *)(asker + 1);
    asker->persistent = is_persistent;
    asker->reply_to = memcpy(texts, reply_to, strlen(reply_to) + 1);
    texts += strlen(reply_to) + 1;
    asker->correlation_id = memcpy(texts, correlation_id, strlen(correlation_id) + 1);
    return asker;
}

/* ------------------------------------------------------------------- answers */

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

void saga_asker_answer_free(struct saga_asker_answer *answer) {
    free(answer->body);
    free(answer);
}

struct saga_asker_answer *saga_asker_answer_make(const struct saga_asker *asker, const char *type,
                                                 char *body) {
    const size_t reply_to_size = strlen(asker->reply_to) + 1;
    const size_t correlation_size = strlen(asker->correlation_id) + 1;
    struct saga_asker_answer *answer =
        body == NULL ? NULL : malloc(sizeof *answer + reply_to_size + correlation_size);
    if (answer == NULL) {
        free(body);
        return NULL;
    }
    *answer = (struct saga_asker_answer){.body = body};
    memcpy(answer->texts, asker->reply_to, reply_to_size);
    memcpy(answer->texts + reply_to_size, asker->correlation_id, correlation_size);
    answer->outgoing.message = (struct saga_amqp_message){
        .exchange = "",
        .routing_key = answer->texts,
        .correlation_id = answer->texts + reply_to_size,
        .type = type,
        .content_type = "application/json",
        .persistent = asker->persistent,
        .body = body,
        .body_size = strlen(body),
    };
    return answer;
}
