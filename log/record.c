#include "record.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* msgpack-c's packing templates, writing straight into the caller's memory
 * instead of through msgpack_packer's callback: 2 to 3 ns a field less. */
struct pen {
    uint8_t *at;
};
#define msgpack_pack_inline_func(name)        static inline int pen##name
#define msgpack_pack_inline_func_cint(name)   static inline int pen##name
#define msgpack_pack_inline_func_fixint(name) static inline int pen_fix##name
#define msgpack_pack_user                     struct pen *
#define msgpack_pack_append_buffer(user, buffer, size)                                             \
    do {                                                                                           \
        memcpy((user)->at, (buffer), (size));                                                      \
        (user)->at += (size);                                                                      \
        return 0;                                                                                  \
    } while (0)
#include <msgpack/pack_define.h>
#include <msgpack/timestamp.h>

#include <msgpack/pack_template.h>

/* Keys of the map; they are the disk's. */
enum {
    KEY_FACT = 1,
    KEY_SAGA,
    KEY_PREVIOUS_LSN,
    KEY_AT_MS,
    KEY_WALL_MS,
    KEY_EPOCH,
    KEY_STEP,
    KEY_OPERATION,
    KEY_INCARNATION,
    KEY_REVISION,
    KEY_ATTEMPT,
    KEY_VERDICT,
    KEY_REASON,
    KEY_OUTCOME,
    KEY_VERB,
    KEY_DEFINITION_LSN,
    KEY_KEY,
    KEY_PAYLOAD,
    KEY_CONTENT,
    KEY_THROUGH_LSN,
};

/* Most entries that a map of one header byte can have. */
#define FIXMAP_ENTRIES_MAX 15
#define FIXMAP             0x80
#define MAP16              0xde

/* All fields at their widest: map16 3, saga 19, five of 10, two 32-bit ones of
 * 6, two 16-bit ones of 4, seven 8-bit ones of 3, headers of key (1 + 3),
 * payload and content (1 + 5 each). */
#define FIXED_BYTES_MAX (3 + 19 + 5 * 10 + 2 * 6 + 2 * 4 + 7 * 3 + 4 + 6 + 6)

const char *saga_record_error_text(enum saga_record_error error) {
    switch (error) {
    case SAGA_RECORD_OK:
        return "whole";
    case SAGA_RECORD_TRUNCATED:
        return "its bytes end too early";
    case SAGA_RECORD_CHECKSUM:
        return "its checksum does not match: its bytes were changed, or belong elsewhere";
    case SAGA_RECORD_FORMAT_NEWER:
        return "it was written by a newer version";
    case SAGA_RECORD_MALFORMED:
        return "its checksum matches, yet it is not of this format";
    }
    return "unknown error";
}

size_t saga_record_size_max(const struct saga_record *record) {
    return FIXED_BYTES_MAX + (size_t)record->key.size + record->payload.size + record->content.size;
}

/* ---------------------------------------------------------------- encoding */

static inline void pen_key(struct pen *pen, uint8_t key) {
    *pen->at++ = key;
}

/* A number in its shortest form; nothing where it is 0. Returns how many
 * entries were written. */
static inline unsigned pen_number(struct pen *pen, uint8_t key, uint32_t value) {
    if (value == 0) {
        return 0;
    }
    pen_key(pen, key);
    (void)pen_uint32(pen, value);
    return 1;
}

static inline unsigned pen_lsn(struct pen *pen, uint8_t key, uint64_t lsn) {
    if (lsn == 0) {
        return 0;
    }
    pen_key(pen, key);
    (void)pen_fix_uint64(pen, lsn);
    return 1;
}

static inline unsigned pen_time(struct pen *pen, uint8_t key, int64_t time_ms) {
    if (time_ms == 0) {
        return 0;
    }
    pen_key(pen, key);
    (void)pen_fix_int64(pen, time_ms);
    return 1;
}

static inline unsigned pen_bytes(struct pen *pen, uint8_t key, const void *bytes, size_t size) {
    if (size == 0) {
        return 0;
    }
    pen_key(pen, key);
    (void)pen_bin(pen, size);
    (void)pen_bin_body(pen, bytes, size);
    return 1;
}

static inline bool saga_id_is_zero(const struct saga_id *id) {
    static const struct saga_id zero;
    return memcmp(id, &zero, sizeof zero) == 0;
}

size_t saga_record_encode(const struct saga_record *record, void *bytes) {
    assert(record->fact != 0);
    assert(record->reserved == 0);
    assert(record->key.size <= SAGA_KEY_BYTES_MAX);
    assert(record->payload.size <= SAGA_PAYLOAD_BYTES_MAX);
    assert(record->content.size <= SAGA_PAYLOAD_BYTES_MAX);

    uint8_t *begin = bytes;
    struct pen pen = {begin + 1};
    unsigned entries = pen_number(&pen, KEY_FACT, record->fact);
    if (!saga_id_is_zero(&record->saga)) {
        entries += pen_bytes(&pen, KEY_SAGA, record->saga.bytes, sizeof record->saga.bytes);
    }
    entries += pen_lsn(&pen, KEY_PREVIOUS_LSN, record->previous_lsn);
    entries += pen_time(&pen, KEY_AT_MS, record->at_ms);
    entries += pen_time(&pen, KEY_WALL_MS, record->wall_ms);
    entries += pen_number(&pen, KEY_EPOCH, record->epoch);
    if (record->step != SAGA_STEP_NONE) {
        pen_key(&pen, KEY_STEP);
        (void)pen_uint8(&pen, record->step);
        entries++;
    }
    entries += pen_number(&pen, KEY_OPERATION, record->operation);
    entries += pen_number(&pen, KEY_INCARNATION, record->incarnation);
    entries += pen_number(&pen, KEY_REVISION, record->revision);
    entries += pen_number(&pen, KEY_ATTEMPT, record->attempt);
    entries += pen_number(&pen, KEY_VERDICT, record->verdict);
    entries += pen_number(&pen, KEY_REASON, record->reason);
    entries += pen_number(&pen, KEY_OUTCOME, record->outcome);
    entries += pen_number(&pen, KEY_VERB, record->verb);
    entries += pen_lsn(&pen, KEY_DEFINITION_LSN, record->definition_lsn);
    entries += pen_bytes(&pen, KEY_KEY, record->key.data, record->key.size);
    entries += pen_bytes(&pen, KEY_PAYLOAD, record->payload.data, record->payload.size);
    entries += pen_bytes(&pen, KEY_CONTENT, record->content.data, record->content.size);
    entries += pen_lsn(&pen, KEY_THROUGH_LSN, record->through_lsn);

    size_t size = (size_t)(pen.at - begin);
    if (entries <= FIXMAP_ENTRIES_MAX) {
        begin[0] = (uint8_t)(FIXMAP | entries);
        return size;
    }
    /* No record of the core has so many fields: the hot path is above. */
    memmove(begin + 3, begin + 1, size - 1);
    begin[0] = MAP16;
    begin[1] = 0;
    begin[2] = (uint8_t)entries;
    return size + 2;
}

/* ---------------------------------------------------------------- decoding */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static inline size_t cursor_left(const struct cursor *cursor) {
    return (size_t)(cursor->end - cursor->at);
}

/* The next `width` bytes (1, 2, 4 or 8) as a big-endian number. */
static inline enum saga_record_error read_fixed(struct cursor *cursor, size_t width,
                                                uint64_t *value) {
    if (cursor_left(cursor) < width) {
        return SAGA_RECORD_TRUNCATED;
    }
    uint64_t number = 0;
    memcpy((uint8_t *)&number + (sizeof number - width), cursor->at, width);
    cursor->at += width;
    *value = be64toh(number);
    return SAGA_RECORD_OK;
}

/* An integer of any width. `negative` says that *value is the bits of a
 * negative int64. */
static inline enum saga_record_error read_integer(struct cursor *cursor, uint64_t *value,
                                                  bool *negative) {
    *negative = false;
    if (cursor->at == cursor->end) {
        return SAGA_RECORD_TRUNCATED;
    }
    uint8_t type = *cursor->at++;
    if (type <= 0x7f) {
        *value = type;
        return SAGA_RECORD_OK;
    }
    if (type >= 0xe0) {
        *value = (uint64_t)(int64_t)(int8_t)type;
        *negative = true;
        return SAGA_RECORD_OK;
    }
    if (type >= 0xcc && type <= 0xcf) {
        return read_fixed(cursor, (size_t)1 << (type - 0xcc), value);
    }
    if (type < 0xd0 || type > 0xd3) {
        return SAGA_RECORD_MALFORMED;
    }
    size_t width = (size_t)1 << (type - 0xd0);
    enum saga_record_error error = read_fixed(cursor, width, value);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    unsigned unused_bits = (unsigned)(64 - 8 * width);
    *value = (uint64_t)((int64_t)(*value << unused_bits) >> unused_bits);
    *negative = (int64_t)*value < 0;
    return SAGA_RECORD_OK;
}

static inline enum saga_record_error read_unsigned(struct cursor *cursor, uint64_t max,
                                                   uint64_t *value) {
    bool negative;
    enum saga_record_error error = read_integer(cursor, value, &negative);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    return negative || *value > max ? SAGA_RECORD_MALFORMED : SAGA_RECORD_OK;
}

static inline enum saga_record_error read_u64(struct cursor *cursor, uint64_t *field) {
    return read_unsigned(cursor, UINT64_MAX, field);
}

static inline enum saga_record_error read_u32(struct cursor *cursor, uint32_t *field) {
    uint64_t value;
    enum saga_record_error error = read_unsigned(cursor, UINT32_MAX, &value);
    if (error == SAGA_RECORD_OK) {
        *field = (uint32_t)value;
    }
    return error;
}

static inline enum saga_record_error read_u16(struct cursor *cursor, uint16_t *field) {
    uint64_t value;
    enum saga_record_error error = read_unsigned(cursor, UINT16_MAX, &value);
    if (error == SAGA_RECORD_OK) {
        *field = (uint16_t)value;
    }
    return error;
}

static inline enum saga_record_error read_u8(struct cursor *cursor, uint8_t *field) {
    uint64_t value;
    enum saga_record_error error = read_unsigned(cursor, UINT8_MAX, &value);
    if (error == SAGA_RECORD_OK) {
        *field = (uint8_t)value;
    }
    return error;
}

static inline enum saga_record_error read_time(struct cursor *cursor, int64_t *field) {
    uint64_t value;
    bool negative;
    enum saga_record_error error = read_integer(cursor, &value, &negative);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (!negative && value > INT64_MAX) {
        return SAGA_RECORD_MALFORMED;
    }
    *field = (int64_t)value;
    return SAGA_RECORD_OK;
}

/* A bin of at most `size_max` bytes. */
static inline enum saga_record_error read_bytes(struct cursor *cursor, size_t size_max,
                                                struct saga_bytes *field) {
    if (cursor->at == cursor->end) {
        return SAGA_RECORD_TRUNCATED;
    }
    uint8_t type = *cursor->at++;
    if (type < 0xc4 || type > 0xc6) {
        return SAGA_RECORD_MALFORMED;
    }
    uint64_t size;
    enum saga_record_error error = read_fixed(cursor, (size_t)1 << (type - 0xc4), &size);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (size > cursor_left(cursor)) {
        return SAGA_RECORD_TRUNCATED;
    }
    if (size > size_max) {
        return SAGA_RECORD_MALFORMED;
    }
    *field = (struct saga_bytes){size == 0 ? NULL : cursor->at, (uint32_t)size};
    cursor->at += size;
    return SAGA_RECORD_OK;
}

static enum saga_record_error read_saga(struct cursor *cursor, struct saga_id *saga) {
    struct saga_bytes bytes;
    enum saga_record_error error = read_bytes(cursor, sizeof saga->bytes, &bytes);
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    if (bytes.size != sizeof saga->bytes) {
        return SAGA_RECORD_MALFORMED;
    }
    memcpy(saga->bytes, bytes.data, sizeof saga->bytes);
    return SAGA_RECORD_OK;
}

/* What a msgpack value is made of: bytes after its type byte of which the
 * length is fixed, bytes of which the length is written, values inside. */
struct shape {
    size_t bytes;        /* that follow, or are counted below */
    size_t length_width; /* of a written length or count; 0: none */
    unsigned values;     /* inside, for each one counted */
    size_t counted;      /* values inside that the type byte itself counts */
};

static bool shape_of(uint8_t type, struct shape *shape) {
    *shape = (struct shape){0};
    if (type <= 0x7f || type >= 0xe0) { /* fixint */
        return true;
    }
    if (type <= 0x8f) { /* fixmap */
        shape->counted = (size_t)(type & 0x0f) * 2;
        return true;
    }
    if (type <= 0x9f) { /* fixarray */
        shape->counted = type & 0x0f;
        return true;
    }
    if (type <= 0xbf) { /* fixstr */
        shape->bytes = type & 0x1f;
        return true;
    }
    switch (type) {
    case 0xc0: /* nil, false, true */
    case 0xc2:
    case 0xc3:
        return true;
    case 0xc4: /* bin 8, 16, 32 */
    case 0xc5:
    case 0xc6:
        shape->length_width = (size_t)1 << (type - 0xc4);
        return true;
    case 0xc7: /* ext 8, 16, 32: a type byte after the length */
    case 0xc8:
    case 0xc9:
        shape->length_width = (size_t)1 << (type - 0xc7);
        shape->bytes = 1;
        return true;
    case 0xca: /* float 32, 64 */
    case 0xcb:
        shape->bytes = (size_t)4 << (type - 0xca);
        return true;
    case 0xcc: /* uint 8 to 64 */
    case 0xcd:
    case 0xce:
    case 0xcf:
        shape->bytes = (size_t)1 << (type - 0xcc);
        return true;
    case 0xd0: /* int 8 to 64 */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        shape->bytes = (size_t)1 << (type - 0xd0);
        return true;
    case 0xd4: /* fixext 1 to 16 */
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        shape->bytes = 1 + ((size_t)1 << (type - 0xd4));
        return true;
    case 0xd9: /* str 8, 16, 32 */
    case 0xda:
    case 0xdb:
        shape->length_width = (size_t)1 << (type - 0xd9);
        return true;
    case 0xdc: /* array 16, 32 */
    case 0xdd:
        shape->length_width = (size_t)2 << (type - 0xdc);
        shape->values = 1;
        return true;
    case 0xde: /* map 16, 32 */
    case 0xdf:
        shape->length_width = (size_t)2 << (type - 0xde);
        shape->values = 2;
        return true;
    default: /* 0xc1 is never used */
        return false;
    }
}

/* Skips one value of a key that this version does not know. Counts what is
 * still to come instead of recursing, and a value is at least one byte: so
 * neither depth nor counts can ask for more than the bytes that are there. */
static enum saga_record_error skip_value(struct cursor *cursor) {
    size_t pending = 1;
    while (pending > 0) {
        pending--;
        struct shape shape;
        if (cursor->at == cursor->end) {
            return SAGA_RECORD_TRUNCATED;
        }
        if (!shape_of(*cursor->at++, &shape)) {
            return SAGA_RECORD_MALFORMED;
        }
        if (shape.length_width > 0) {
            uint64_t length;
            enum saga_record_error error = read_fixed(cursor, shape.length_width, &length);
            if (error != SAGA_RECORD_OK) {
                return error;
            }
            if (shape.values > 0) {
                shape.counted = (size_t)length * shape.values;
            } else {
                shape.bytes += (size_t)length;
            }
        }
        if (shape.bytes > cursor_left(cursor)) {
            return SAGA_RECORD_TRUNCATED;
        }
        cursor->at += shape.bytes;
        pending += shape.counted;
        if (pending > cursor_left(cursor)) {
            return SAGA_RECORD_TRUNCATED;
        }
    }
    return SAGA_RECORD_OK;
}

static inline enum saga_record_error read_field(struct cursor *cursor, uint64_t key,
                                                struct saga_record *record) {
    switch (key) {
    case KEY_FACT:
        return read_u8(cursor, &record->fact);
    case KEY_SAGA:
        return read_saga(cursor, &record->saga);
    case KEY_PREVIOUS_LSN:
        return read_u64(cursor, &record->previous_lsn);
    case KEY_AT_MS:
        return read_time(cursor, &record->at_ms);
    case KEY_WALL_MS:
        return read_time(cursor, &record->wall_ms);
    case KEY_EPOCH:
        return read_u32(cursor, &record->epoch);
    case KEY_STEP:
        return read_u8(cursor, &record->step);
    case KEY_OPERATION:
        return read_u8(cursor, &record->operation);
    case KEY_INCARNATION:
        return read_u16(cursor, &record->incarnation);
    case KEY_REVISION:
        return read_u16(cursor, &record->revision);
    case KEY_ATTEMPT:
        return read_u32(cursor, &record->attempt);
    case KEY_VERDICT:
        return read_u8(cursor, &record->verdict);
    case KEY_REASON:
        return read_u8(cursor, &record->reason);
    case KEY_OUTCOME:
        return read_u8(cursor, &record->outcome);
    case KEY_VERB:
        return read_u8(cursor, &record->verb);
    case KEY_DEFINITION_LSN:
        return read_u64(cursor, &record->definition_lsn);
    case KEY_KEY:
        return read_bytes(cursor, SAGA_KEY_BYTES_MAX, &record->key);
    case KEY_PAYLOAD:
        return read_bytes(cursor, SAGA_PAYLOAD_BYTES_MAX, &record->payload);
    case KEY_CONTENT:
        return read_bytes(cursor, SAGA_PAYLOAD_BYTES_MAX, &record->content);
    case KEY_THROUGH_LSN:
        return read_u64(cursor, &record->through_lsn);
    default:
        return skip_value(cursor);
    }
}

static enum saga_record_error read_map(struct cursor *cursor, uint64_t *entries) {
    if (cursor->at == cursor->end) {
        return SAGA_RECORD_TRUNCATED;
    }
    uint8_t type = *cursor->at++;
    if ((type & 0xf0) == FIXMAP) {
        *entries = type & 0x0f;
        return SAGA_RECORD_OK;
    }
    if (type != MAP16 && type != MAP16 + 1) {
        return SAGA_RECORD_MALFORMED;
    }
    return read_fixed(cursor, (size_t)2 << (type - MAP16), entries);
}

enum saga_record_error saga_record_decode(const void *bytes, size_t size,
                                          struct saga_record *record) {
    struct cursor cursor = {bytes, (const uint8_t *)bytes + size};
    *record = (struct saga_record){.step = SAGA_STEP_NONE};
    uint64_t entries;
    enum saga_record_error error = read_map(&cursor, &entries);
    uint64_t last_key = 0;
    /* Each turn reads a byte at least, so the bytes bound the loop, whatever
     * the count says. */
    for (; error == SAGA_RECORD_OK && entries > 0; entries--) {
        uint64_t key;
        error = read_u64(&cursor, &key);
        if (error != SAGA_RECORD_OK) {
            break;
        }
        if (key <= last_key) {
            return SAGA_RECORD_MALFORMED;
        }
        last_key = key;
        error = read_field(&cursor, key, record);
    }
    if (error != SAGA_RECORD_OK) {
        return error;
    }
    return cursor.at != cursor.end || record->fact == 0 ? SAGA_RECORD_MALFORMED : SAGA_RECORD_OK;
}
