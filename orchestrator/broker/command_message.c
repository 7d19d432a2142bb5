#include "command_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "time_text.h"

#define TRACEPARENT_SIZE 56 /* "00-<32>-<16>-01" and a NUL */

/* Everything that the message points to and nobody else keeps. */
struct texts {
    char id[SAGA_COMMAND_TEXT_SIZE];
    char saga[SAGA_ID_TEXT_SIZE];
    char issued_at[SAGA_TIME_TEXT_SIZE];
    char deadline[SAGA_TIME_TEXT_SIZE];
    char traceparent[TRACEPARENT_SIZE];
};

/* FNV-1a: tells one attempt's span from another's; nothing depends on it. */
static uint64_t span_of(const char *command, uint32_t attempt) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ attempt;
    for (; *command != '\0'; command++) {
        hash = (hash ^ (unsigned char)*command) * UINT64_C(0x100000001b3);
    }
    return hash == 0 ? 1 : hash;
}

/* W3C Trace Context: the saga is the trace, an attempt is a span of it. */
static void write_traceparent(char *text, const struct saga_id *saga, uint64_t span) {
    static const char digits[] = "0123456789abcdef";
    char trace[2 * sizeof saga->bytes + 1] = "";
    for (size_t i = 0; i < sizeof saga->bytes; i++) {
        trace[2 * i] = digits[saga->bytes[i] >> 4];
        trace[2 * i + 1] = digits[saga->bytes[i] & 15];
    }
    (void)snprintf(text, TRACEPARENT_SIZE, "00-%s-%016llx-01", trace, (unsigned long long)span);
}

static char *copy(char **at, const void *from, size_t size) {
    char *to = *at;
    memcpy(to, from, size);
    *at += size;
    return to;
}

/* "parking.block" is PARKING_BLOCK to those who read the header COMMAND. */
static char *copy_in_capitals(char **at, const char *name) {
    char *to = copy(at, name, strlen(name) + 1);
    for (char *c = to; *c != '\0'; c++) {
        *c = *c == '.' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
    return to;
}

/* The names and values are the definition's, which outlives every command of its sagas. */
static void add_headers(struct saga_amqp_message *message, const struct saga_dispatch *dispatch,
                        const struct texts *texts, const char *capitals) {
    const struct saga_definition *definition = dispatch->definition;
    saga_amqp_message_add_text(message, "COMMAND", capitals);
    saga_amqp_message_add_text(message, "saga-id", texts->saga);
    saga_amqp_message_add_text(message, "saga-type", definition->name);
    saga_amqp_message_add_text(message, "saga-step", definition->steps[dispatch->id.step].name);
    saga_amqp_message_add_number(message, "saga-incarnation", dispatch->id.incarnation);
    saga_amqp_message_add_text(message, "saga-operation",
                               saga_operation_name((enum saga_operation)dispatch->id.operation));
    saga_amqp_message_add_number(message, "saga-revision", dispatch->id.revision);
    saga_amqp_message_add_number(message, "saga-attempt", dispatch->attempt);
    saga_amqp_message_add_text(message, "saga-issued-at", texts->issued_at);
    if (dispatch->deadline_ms != 0) {
        saga_amqp_message_add_text(message, "saga-deadline", texts->deadline);
    }
    saga_amqp_message_add_number(message, "saga-epoch", dispatch->epoch);
    saga_amqp_message_add_text(message, "traceparent", texts->traceparent);
    for (size_t i = 0; definition->header_names[i] != NULL; i++) {
        saga_amqp_message_add_text(message, definition->header_names[i],
                                   definition->header_values[i]);
    }
}

struct saga_command_message *
saga_command_message_make(const struct saga_dispatch *dispatch,
                          const struct saga_command_envelope *envelope) {
    const struct saga_definition *definition = dispatch->definition;
    const size_t name_size = strlen(dispatch->name) + 1;
    struct saga_command_message *made =
        malloc(sizeof *made + sizeof(struct texts) + 2 * name_size + dispatch->body_size);
    if (made == NULL) {
        return NULL;
    }
    struct texts *texts = (struct texts *)(void *)made->bytes;
    char *at = made->bytes + sizeof *texts;
    (void)saga_command_text(&dispatch->id, definition->steps[dispatch->id.step].name, texts->id);
    (void)saga_id_text(&dispatch->id.saga, texts->saga);
    (void)saga_time_text(dispatch->command_at_ms, texts->issued_at);
    (void)saga_time_text(dispatch->deadline_ms, texts->deadline);
    write_traceparent(texts->traceparent, &dispatch->id.saga,
                      span_of(texts->id, dispatch->attempt));
    *made = (struct saga_command_message){
        .unsent = {.type = SAGA_REQUEST_UNSENT,
                   .command = dispatch->id,
                   .attempt = dispatch->attempt},
    };
    struct saga_amqp_message *message = &made->outgoing.message;
    message->exchange = definition->exchange != NULL ? definition->exchange : envelope->exchange;
    message->routing_key = copy(&at, dispatch->name, name_size);
    message->type = message->routing_key;
    message->message_id = texts->id;
    message->correlation_id = texts->id;
    message->reply_to = envelope->reply_to;
    message->content_type = "application/json";
    message->persistent = envelope->persistent;
    message->mandatory = true;
    message->timestamp_s = dispatch->issued_at_ms > 0 ? (uint64_t)dispatch->issued_at_ms / 1000 : 0;
    add_headers(message, dispatch, texts, copy_in_capitals(&at, dispatch->name));
    message->body_size = dispatch->body_size;
    message->body = dispatch->body_size == 0 ? "" : copy(&at, dispatch->body, dispatch->body_size);
    return made;
}
