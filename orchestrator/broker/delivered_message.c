#include "delivered_message.h"

#include <stdlib.h>
#include <string.h>

#include "askers.h"
#include "ids.h"
#include "wire.h"

static size_t text_size(const char *text) {
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *copy(char **at, const void *from, size_t size) {
    char *to = *at;
    if (from == NULL) {
        return NULL;
    }
    memcpy(to, from, size);
    *at += size;
    return to;
}

/* The message's body, and `more` bytes of texts. */
static struct saga_delivered_message *make(const struct saga_amqp_message *message, size_t more,
                                           char **at) {
    struct saga_delivered_message *made = malloc(sizeof *made + more + message->body_size);
    if (made == NULL) {
        return NULL;
    }
    *made = (struct saga_delivered_message){.persistent = message->persistent};
    *at = made->bytes;
    if (message->body_size > 0) {
        made->request.body = (struct saga_bytes){
            .data = copy(at, message->body, message->body_size),
            .size = (uint32_t)message->body_size,
        };
    }
    return made;
}

static bool has_number(const struct saga_amqp_message *message, const char *name) {
    int64_t number;
    return saga_amqp_message_number(message, name, &number);
}

/* 0: no header says it, so the body's event decides. False: the header says nonsense. */
static bool read_verdict(const struct saga_amqp_message *message, uint8_t *verdict) {
    static const uint8_t verdicts[] = {
        [SAGA_WIRE_DONE] = SAGA_DONE,         [SAGA_WIRE_REJECTED] = SAGA_REJECTED,
        [SAGA_WIRE_ACCEPTED] = SAGA_ACCEPTED, [SAGA_WIRE_RETRY] = SAGA_RETRY,
        [SAGA_WIRE_FENCED] = SAGA_FENCED,     [SAGA_WIRE_NOOP] = SAGA_NOOP,
    };
    const char *text = saga_amqp_message_text(message, "saga-outcome");
    *verdict = 0;
    if (text == NULL) {
        return !has_number(message, "saga-outcome");
    }
    const enum saga_wire_outcome outcome = saga_wire_outcome_parse(text, strlen(text));
    if (outcome == SAGA_WIRE_NONE) {
        return false;
    }
    *verdict = verdicts[outcome];
    return true;
}

/* 0: not said. False: the header says nonsense. */
static bool read_attempt(const struct saga_amqp_message *message, uint32_t *attempt) {
    int64_t number = 0;
    if (!saga_amqp_message_number(message, "saga-attempt", &number) &&
        saga_amqp_message_text(message, "saga-attempt") != NULL) {
        return false;
    }
    *attempt = (uint32_t)number;
    return number >= 0 && number <= UINT32_MAX;
}

struct saga_delivered_message *saga_delivered_reply(const struct saga_amqp_message *message,
                                                    const char **why) {
    struct saga_command_id id;
    const char *step = NULL;
    size_t step_size = 0;
    uint32_t attempt;
    uint8_t verdict;
    char *at;
    *why = NULL;
    if (message->correlation_id == NULL ||
        !saga_command_parse(message->correlation_id, strlen(message->correlation_id), &id, &step,
                            &step_size)) {
        *why = "a reply whose correlation id is no command's id";
        return NULL;
    }
    if (!read_verdict(message, &verdict)) {
        *why = "a reply whose header saga-outcome is no outcome";
        return NULL;
    }
    if (!read_attempt(message, &attempt)) {
        *why = "a reply whose header saga-attempt is no attempt's number";
        return NULL;
    }
    struct saga_delivered_message *made = make(message, step_size, &at);
    if (made != NULL) {
        made->request.type = SAGA_REQUEST_REPLY;
        made->request.command = id;
        made->request.attempt = attempt;
        made->request.verdict = verdict;
        made->request.step =
            (struct saga_bytes){.data = copy(&at, step, step_size), .size = (uint32_t)step_size};
    }
    return made;
}

/* As the API wants it: what is shown and logged need not be escaped. */
static bool is_printable(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

struct saga_delivered_message *saga_delivered_start(const struct saga_amqp_message *message,
                                                    const char **why) {
    const size_t type_size = text_size(message->type);
    const size_t key_size = text_size(message->message_id);
    const size_t reply_to_size = text_size(message->reply_to);
    const size_t correlation_size = text_size(message->correlation_id);
    char *at;
    *why = NULL;
    if (type_size <= 1) {
        *why = "a start without a type: it is the name of the saga's definition";
        return NULL;
    }
    if (key_size <= 1) {
        *why = "a start without a message_id: it is the start key, without which a redelivery "
               "would start a second saga";
        return NULL;
    }
    if (!is_printable(message->message_id)) {
        *why = "a start whose message_id is no start key: it has other characters than printable "
               "ASCII";
        return NULL;
    }
    const struct saga_asker asker = {
        .reply_to = message->reply_to,
        .correlation_id = correlation_size > 1 ? message->correlation_id : message->message_id,
        .persistent = message->persistent,
    };
    char *written = reply_to_size > 1 ? saga_asker_text(&asker) : NULL;
    if (reply_to_size > 1 && written == NULL) {
        return NULL;
    }
    const size_t written_size = text_size(written);
    struct saga_delivered_message *made =
        make(message, type_size + key_size + reply_to_size + correlation_size + written_size, &at);
    if (made != NULL) {
        made->request.type = SAGA_REQUEST_START;
        made->request.listings = &made->listing;
        made->request.limit = 1;
        made->request.saga = copy(&at, message->type, type_size);
        made->request.key = (struct saga_bytes){.data = copy(&at, message->message_id, key_size),
                                                .size = (uint32_t)(key_size - 1)};
        made->reply_to = reply_to_size > 1 ? copy(&at, message->reply_to, reply_to_size) : NULL;
        made->correlation_id = correlation_size > 1
                                   ? copy(&at, message->correlation_id, correlation_size)
                                   : (const char *)made->request.key.data;
        made->request.content = (struct saga_bytes){
            .data = copy(&at, written, written_size),
            .size = (uint32_t)(written_size > 0 ? written_size - 1 : 0),
        };
    }
    free(written);
    return made;
}
