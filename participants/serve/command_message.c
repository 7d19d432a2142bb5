#include "command_message.h"

#include <string.h>

#include "timestamp.h"

#define PREFIX "saga-"

static bool is_ours(const struct saga_amqp_header *header) {
    return strncmp(header->name, PREFIX, strlen(PREFIX)) == 0;
}

/* Of two headers of one name, one reader takes the first and another the last. */
static bool is_twice(const struct saga_amqp_message *message, size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (strcmp(message->headers[j].name, message->headers[i].name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *check_headers(const struct saga_amqp_message *message) {
    size_t count = 0;
    for (size_t i = 0; i < message->header_count; i++) {
        if (is_ours(&message->headers[i])) {
            count++;
            if (is_twice(message, i)) {
                return "a saga-* header is there twice";
            }
        }
    }
    return count > 0 ? NULL
                     : "there are no saga-* headers: nobody can tell which saga's command it is, "
                       "so it could take effect twice";
}

static bool is_missing(const char *text) {
    return text == NULL || text[0] == '\0';
}

static const char *read_properties(const struct saga_amqp_message *message,
                                   struct saga_wire_command *command) {
    command->id = message->message_id;
    command->name = message->type;
    if (is_missing(command->id)) {
        return "message_id is missing: it is the command's id";
    }
    if (message->correlation_id == NULL || strcmp(message->correlation_id, command->id) != 0) {
        return "correlation_id is not the message_id: the reply would be taken for another's";
    }
    if (is_missing(message->reply_to)) {
        return "reply_to is missing: nobody could be answered";
    }
    if (is_missing(command->name)) {
        return "type is missing: it is the command's name";
    }
    return NULL;
}

/* From 1, as all numbers of a command. */
static bool read_number(const struct saga_amqp_message *message, const char *name,
                        uint32_t *number) {
    int64_t value;
    if (!saga_amqp_message_number(message, name, &value) || value < 1 || value > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

static const char *read_numbers(const struct saga_amqp_message *message,
                                struct saga_wire_command *command) {
    if (!read_number(message, "saga-incarnation", &command->incarnation)) {
        return "saga-incarnation is missing, or no number from 1";
    }
    if (!read_number(message, "saga-revision", &command->revision)) {
        return "saga-revision is missing, or no number from 1";
    }
    if (!read_number(message, "saga-attempt", &command->attempt)) {
        return "saga-attempt is missing, or no number from 1";
    }
    return NULL;
}

static bool has(const struct saga_amqp_message *message, const char *name) {
    for (size_t i = 0; i < message->header_count; i++) {
        if (strcmp(message->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_time(const struct saga_amqp_message *message, const char *name, int64_t *ms) {
    const char *text = saga_amqp_message_text(message, name);
    return text != NULL && saga_timestamp_parse(text, ms) && *ms > 0;
}

static const char *read_times(const struct saga_amqp_message *message,
                              struct saga_wire_command *command) {
    if (!read_time(message, "saga-issued-at", &command->issued_at_ms)) {
        return "saga-issued-at is missing, or no time like 2024-07-12T09:30:00.125Z";
    }
    /* A command that somebody waits for without end has none. */
    if (has(message, "saga-deadline") &&
        !read_time(message, "saga-deadline", &command->deadline_ms)) {
        return "saga-deadline is no time like 2024-07-12T09:30:00.125Z";
    }
    return NULL;
}

static const char *read_texts(const struct saga_amqp_message *message,
                              struct saga_wire_command *command) {
    command->saga = saga_amqp_message_text(message, "saga-id");
    command->step = saga_amqp_message_text(message, "saga-step");
    command->operation = saga_amqp_message_text(message, "saga-operation");
    command->saga_type = saga_amqp_message_text(message, "saga-type");
    if (has(message, "saga-type") &&
        !saga_wire_name_check(command->saga_type, SAGA_WIRE_NAME_BYTES_MAX)) {
        return "saga-type is no usable name";
    }
    return saga_wire_command_check(command);
}

const char *saga_command_message_read(const struct saga_amqp_message *message,
                                      struct saga_wire_command *command) {
    *command = (struct saga_wire_command){
        .body = message->body_size == 0 ? "" : message->body,
        .body_size = message->body_size,
    };
    if (message->body_size > SAGA_WIRE_BODY_BYTES_MAX) {
        return "the body has more than 1 MiB";
    }
    const char *wrong = check_headers(message);
    wrong = wrong != NULL ? wrong : read_properties(message, command);
    wrong = wrong != NULL ? wrong : read_numbers(message, command);
    wrong = wrong != NULL ? wrong : read_times(message, command);
    return wrong != NULL ? wrong : read_texts(message, command);
}
