#include "message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct saga_amqp_header *add(struct saga_amqp_message *message, const char *name) {
    assert(message->header_count < SAGA_AMQP_HEADERS_MAX);
    struct saga_amqp_header *header = &message->headers[message->header_count++];
    *header = (struct saga_amqp_header){.name = name};
    return header;
}

void saga_amqp_message_add_text(struct saga_amqp_message *message, const char *name,
                                const char *text) {
    add(message, name)->text = text;
}

void saga_amqp_message_add_number(struct saga_amqp_message *message, const char *name,
                                  int64_t number) {
    add(message, name)->number = number;
}

static const struct saga_amqp_header *find(const struct saga_amqp_message *message,
                                           const char *name) {
    for (size_t i = 0; i < message->header_count; i++) {
        if (strcmp(message->headers[i].name, name) == 0) {
            return &message->headers[i];
        }
    }
    return NULL;
}

const char *saga_amqp_message_text(const struct saga_amqp_message *message, const char *name) {
    const struct saga_amqp_header *header = find(message, name);
    return header == NULL ? NULL : header->text;
}

bool saga_amqp_message_number(const struct saga_amqp_message *message, const char *name,
                              int64_t *number) {
    const struct saga_amqp_header *header = find(message, name);
    if (header == NULL) {
        return false;
    }
    if (header->text == NULL) {
        *number = header->number;
        return true;
    }
    const char *digits = header->text + (header->text[0] == '-');
    char *end;
    if (digits[0] < '0' || digits[0] > '9') {
        return false;
    }
    errno = 0;
    const long long value = strtoll(header->text, &end, 10);
    if (*end != '\0' || errno != 0) {
        return false;
    }
    *number = value;
    return true;
}
