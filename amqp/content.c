#include "content.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A longer body is not even read past: RabbitMQ takes 128 MiB by default, 512 at most. */
#define DRAIN_BYTES_MAX (UINT64_C(512) << 20)
/* The frame of properties and headers, without their texts: type, channel, size, end; class,
 * weight, size of the body, flags; the size of the headers, delivery mode, timestamp. */
#define CONTENT_HEADER_BYTES (8 + 14 + 4 + 1 + 8)

/* ------------------------------------------------------- frames out of a message */

static bool is_short(const char *text) {
    return text == NULL || strlen(text) <= SAGA_AMQP_SHORT_BYTES_MAX;
}

static size_t short_bytes(const char *text) {
    return text == NULL ? 0 : 1 + strlen(text);
}

bool saga_amqp_properties_fit(const struct saga_amqp_message *message, int frame_max) {
    size_t header_bytes = 0;
    bool is_good = is_short(message->exchange) && is_short(message->routing_key) &&
                   is_short(message->message_id) && is_short(message->correlation_id) &&
                   is_short(message->reply_to) && is_short(message->type) &&
                   is_short(message->content_type) && is_short(message->app_id);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct saga_amqp_header *header = &message->headers[i];
        is_good = is_good && is_short(header->name);
        header_bytes +=
            1 + strlen(header->name) + 1 + (header->text == NULL ? 8 : 4 + strlen(header->text));
    }
    const size_t property_bytes = short_bytes(message->message_id) +
                                  short_bytes(message->correlation_id) +
                                  short_bytes(message->reply_to) + short_bytes(message->type) +
                                  short_bytes(message->content_type) + short_bytes(message->app_id);
    return is_good && header_bytes <= SAGA_AMQP_HEADER_BYTES_MAX &&
           CONTENT_HEADER_BYTES + property_bytes + header_bytes <= (size_t)frame_max;
}

static void set_text(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *slot,
                     const char *text) {
    if (text != NULL) {
        properties->_flags |= flag;
        *slot = saga_amqp_bytes(text);
    }
}

static void set_headers(amqp_basic_properties_t *properties, amqp_table_entry_t *entries,
                        const struct saga_amqp_message *message) {
    for (size_t i = 0; i < message->header_count; i++) {
        const struct saga_amqp_header *header = &message->headers[i];
        entries[i].key = saga_amqp_bytes(header->name);
        if (header->text != NULL) {
            entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
            entries[i].value.value.bytes = saga_amqp_bytes(header->text);
        } else {
            entries[i].value.kind = AMQP_FIELD_KIND_I64;
            entries[i].value.value.i64 = header->number;
        }
    }
    if (message->header_count > 0) {
        properties->_flags |= AMQP_BASIC_HEADERS_FLAG;
        properties->headers.num_entries = (int)message->header_count;
        properties->headers.entries = entries;
    }
}

void saga_amqp_properties_make(const struct saga_amqp_message *message,
                               amqp_table_entry_t entries[SAGA_AMQP_HEADERS_MAX],
                               amqp_basic_properties_t *properties) {
    *properties = (amqp_basic_properties_t){0};
    set_text(properties, AMQP_BASIC_MESSAGE_ID_FLAG, &properties->message_id, message->message_id);
    set_text(properties, AMQP_BASIC_CORRELATION_ID_FLAG, &properties->correlation_id,
             message->correlation_id);
    set_text(properties, AMQP_BASIC_REPLY_TO_FLAG, &properties->reply_to, message->reply_to);
    set_text(properties, AMQP_BASIC_TYPE_FLAG, &properties->type, message->type);
    set_text(properties, AMQP_BASIC_CONTENT_TYPE_FLAG, &properties->content_type,
             message->content_type);
    set_text(properties, AMQP_BASIC_APP_ID_FLAG, &properties->app_id, message->app_id);
    set_headers(properties, entries, message);
    properties->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties->delivery_mode =
        message->persistent ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT;
    if (message->timestamp_s != 0) {
        properties->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        properties->timestamp = message->timestamp_s;
    }
}

/* ------------------------------------------------------ a message out of frames */

/* A copy of all texts of a message, in one piece of memory that is filled by two passes: the
 * first one measures. */
struct texts {
    char *at; /* NULL: only measure */
    size_t size;
};

static const char *keep(struct texts *texts, const void *text, size_t size) {
    char *copy = texts->at;
    texts->size += size + 1;
    if (copy == NULL) {
        return "";
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    texts->at += size + 1;
    return copy;
}

static const char *keep_bytes(struct texts *texts, amqp_bytes_t text) {
    return keep(texts, text.len == 0 ? "" : text.bytes, text.len);
}

/* A value that is a whole number of any width. */
static bool whole_number(const amqp_field_value_t *value, int64_t *number) {
    switch (value->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        *number = value->value.boolean != 0;
        return true;
    case AMQP_FIELD_KIND_I8:
        *number = (int64_t)value->value.i8; /* a number, not a character */
        return true;
    case AMQP_FIELD_KIND_U8:
        *number = value->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *number = value->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *number = value->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *number = value->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *number = value->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *number = value->value.i64;
        return true;
    case AMQP_FIELD_KIND_U64:
        *number = (int64_t)value->value.u64;
        return value->value.u64 <= INT64_MAX;
    default:
        return false;
    }
}

static void keep_headers(struct texts *texts, struct saga_amqp_message *message,
                         const amqp_table_t *table) {
    message->header_count = 0;
    for (int i = 0; i < table->num_entries && message->header_count < SAGA_AMQP_HEADERS_MAX; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        struct saga_amqp_header header = {0};
        if (entry->value.kind == AMQP_FIELD_KIND_UTF8 ||
            entry->value.kind == AMQP_FIELD_KIND_BYTES) {
            header.text = keep_bytes(texts, entry->value.value.bytes);
        } else if (!whole_number(&entry->value, &header.number)) {
            continue; /* a table, an array, a fraction: nothing that we understand */
        }
        header.name = keep_bytes(texts, entry->key);
        message->headers[message->header_count++] = header;
    }
}

static const char *keep_property(struct texts *texts, const amqp_basic_properties_t *properties,
                                 amqp_flags_t flag, amqp_bytes_t text) {
    return (properties->_flags & flag) != 0 ? keep_bytes(texts, text) : NULL;
}

static void keep_properties(struct texts *texts, struct saga_amqp_message *message,
                            const amqp_basic_properties_t *from) {
    message->message_id = keep_property(texts, from, AMQP_BASIC_MESSAGE_ID_FLAG, from->message_id);
    message->correlation_id =
        keep_property(texts, from, AMQP_BASIC_CORRELATION_ID_FLAG, from->correlation_id);
    message->reply_to = keep_property(texts, from, AMQP_BASIC_REPLY_TO_FLAG, from->reply_to);
    message->type = keep_property(texts, from, AMQP_BASIC_TYPE_FLAG, from->type);
    message->content_type =
        keep_property(texts, from, AMQP_BASIC_CONTENT_TYPE_FLAG, from->content_type);
    message->app_id = keep_property(texts, from, AMQP_BASIC_APP_ID_FLAG, from->app_id);
    message->persistent = (from->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 &&
                          from->delivery_mode == AMQP_DELIVERY_PERSISTENT;
    message->timestamp_s = (from->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0 ? from->timestamp : 0;
    if ((from->_flags & AMQP_BASIC_HEADERS_FLAG) != 0) {
        keep_headers(texts, message, &from->headers);
    }
}

enum saga_error saga_amqp_nonsense(struct saga_fault *fault, const char *what) {
    return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "the broker breaks the protocol: %s",
                          what);
}

/* The envelope: where it came from. The rest follows in frames of their own. */
enum saga_error saga_amqp_content_begin(struct saga_amqp_content *content,
                                        enum saga_amqp_event_type type, amqp_bytes_t exchange,
                                        amqp_bytes_t routing_key, struct saga_fault *fault) {
    if (content->state != 0) {
        return saga_amqp_nonsense(fault, "a message inside a message");
    }
    struct texts texts = {.at = malloc(exchange.len + routing_key.len + 2)};
    if (texts.at == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "no memory for a message");
    }
    content->texts = texts.at;
    content->state = SAGA_AMQP_CONTENT_HEADER;
    content->event.type = (uint8_t)type;
    content->event.message.exchange = keep_bytes(&texts, exchange);
    content->event.message.routing_key = keep_bytes(&texts, routing_key);
    return SAGA_OK;
}

/* All texts into one piece: the ones that are there, and the properties'. */
static enum saga_error keep_content_header(struct saga_amqp_content *content,
                                           const amqp_basic_properties_t *properties,
                                           struct saga_fault *fault) {
    struct saga_amqp_message *message = &content->event.message;
    const char *exchange = message->exchange;
    const char *routing_key = message->routing_key;
    struct texts texts = {0};
    (void)keep(&texts, exchange, strlen(exchange));
    (void)keep(&texts, routing_key, strlen(routing_key));
    keep_properties(&texts, message, properties);
    char *memory = malloc(texts.size);
    if (memory == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "no memory for a message's headers");
    }
    texts = (struct texts){.at = memory};
    message->exchange = keep(&texts, exchange, strlen(exchange));
    message->routing_key = keep(&texts, routing_key, strlen(routing_key));
    keep_properties(&texts, message, properties);
    free(content->texts);
    content->texts = memory;
    return SAGA_OK;
}

enum saga_error saga_amqp_content_header(struct saga_amqp_content *content,
                                         const amqp_frame_t *frame, size_t body_bytes_max,
                                         struct saga_fault *fault) {
    if (content->state != SAGA_AMQP_CONTENT_HEADER ||
        frame->payload.properties.class_id != AMQP_BASIC_CLASS) {
        return saga_amqp_nonsense(fault, "a header without a message");
    }
    content->expected = frame->payload.properties.body_size;
    content->state = SAGA_AMQP_CONTENT_BODY;
    content->oversized = content->expected > body_bytes_max;
    if (content->expected > DRAIN_BYTES_MAX) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE,
                              "a message that claims %" PRIu64 " bytes", content->expected);
    }
    if (content->oversized) {
        return SAGA_OK;
    }
    content->body = malloc(content->expected + 1);
    if (content->body == NULL) {
        return saga_fault_set(fault, SAGA_ERROR_UNREACHABLE, "no memory for a message");
    }
    content->body[content->expected] = '\0';
    return keep_content_header(content, frame->payload.properties.decoded, fault);
}

enum saga_error saga_amqp_content_body(struct saga_amqp_content *content, amqp_bytes_t fragment,
                                       struct saga_fault *fault) {
    if (content->state != SAGA_AMQP_CONTENT_BODY ||
        fragment.len > content->expected - content->arrived) {
        return saga_amqp_nonsense(fault, "more of a body than was announced");
    }
    if (!content->oversized && fragment.len > 0) {
        memcpy(content->body + content->arrived, fragment.bytes, fragment.len);
    }
    content->arrived += fragment.len;
    return SAGA_OK;
}

bool saga_amqp_content_is_complete(const struct saga_amqp_content *content) {
    return content->state == SAGA_AMQP_CONTENT_BODY && content->arrived == content->expected;
}

void saga_amqp_content_clear(struct saga_amqp_content *content) {
    free(content->texts);
    free(content->body);
    *content = (struct saga_amqp_content){0};
}
