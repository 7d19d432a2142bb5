#include "yaml.h"

#include "utf8.h"

#include <assert.h>
#include <libfyaml.h>
#include <string.h>

/* One open list or mapping. */
struct level {
    struct saga_yaml_node *node;
    struct saga_yaml_node *last; /* child or key */
    bool value_next;             /* of a mapping: `last` waits for its value */
};

struct builder {
    struct saga_report *report;
    struct level levels[SAGA_YAML_DEPTH_MAX];
    unsigned depth;
    unsigned node_count;
    unsigned document_count;
    uint32_t at; /* where the last event with a place ended */
    const struct saga_yaml_node *root;
    bool broken; /* the tree is of no use: read on for errors alone */
    bool stop;   /* nor is reading on */
};

/* --------------------------------------------------------------- characters */

/* libfyaml takes a byte that is no UTF-8, or a NUL, for the end of the file: a
 * definition cut short would load. So none of them reaches it. */
static bool characters_check(struct saga_report *report) {
    size_t at = 0;
    while (at < report->size) {
        uint32_t code = 0;
        size_t length = saga_utf8_decode(report->text + at, report->size - at, &code);
        struct saga_span span = {(uint32_t)at, (uint32_t)at + 1};
        if (length == 0) {
            saga_report_add(report, span, "save the file as UTF-8", "byte 0x%02x is no UTF-8",
                            (unsigned)(unsigned char)report->text[at]);
            return false;
        }
        if (!saga_utf8_printable(code) || (code == 0xfeff && at != 0)) {
            saga_report_add(report, span, "remove it",
                            "character U+%04X cannot stand in a definition", (unsigned)code);
            return false;
        }
        at += length;
    }
    return true;
}

/* -------------------------------------------------------------------- nodes */

static struct saga_yaml_node *node_make(struct builder *builder, enum saga_yaml_kind kind) {
    struct saga_yaml_node *node = saga_arena_take(builder->report->arena, sizeof *node);
    node->kind = kind;
    node->text = "";
    node->span = (struct saga_span){builder->at, builder->at};
    if (++builder->node_count > SAGA_YAML_NODES_MAX) {
        saga_report_add(builder->report, node->span, "a definition is much smaller than this",
                        "more than %d values in one file", SAGA_YAML_NODES_MAX);
        builder->stop = true;
    }
    return node;
}

/* A key that is not there stands nowhere: its ':' is the next thing in the file. */
static struct saga_span key_place(const struct builder *builder, const struct saga_yaml_node *key) {
    const struct saga_report *report = builder->report;
    if (!key->absent) {
        return saga_yaml_place(key);
    }
    uint32_t at = key->span.start;
    while (at < report->size && strchr(" \t\r\n", report->text[at]) != NULL) {
        at++;
    }
    return (struct saga_span){at, at + 1};
}

static void key_check(struct builder *builder, const struct level *level,
                      const struct saga_yaml_node *key) {
    struct saga_report *report = builder->report;
    if (key->kind != SAGA_YAML_SCALAR || key->absent) {
        saga_report_add(report, key_place(builder, key), "write 'KEY: VALUE', the key one word",
                        key->kind == SAGA_YAML_SCALAR ? "no key before the ':'"
                                                      : "a list or a mapping is no key");
        builder->broken = true;
        return;
    }
    for (const struct saga_yaml_node *other = level->node->first; other != key;
         other = other->next) {
        if (other->size == key->size && memcmp(other->text, key->text, key->size) == 0) {
            const char *hint = saga_arena_format(report->arena, "the first one is in line %u",
                                                 saga_report_line(report, other->span.start));
            saga_report_add(report, key->span, hint, "duplicate key '%s'",
                            saga_report_quote(report, key->text, key->size));
            return;
        }
    }
}

/* Puts a node where the open level wants it. */
static void node_add(struct builder *builder, struct saga_yaml_node *node) {
    if (builder->depth == 0) {
        builder->root = node;
        return;
    }
    struct level *level = &builder->levels[builder->depth - 1];
    if (level->value_next) {
        level->last->value = node;
        level->value_next = false;
        return;
    }
    if (level->last == NULL) {
        level->node->first = node;
    } else {
        level->last->next = node;
    }
    level->last = node;
    level->value_next = level->node->kind == SAGA_YAML_MAPPING;
    if (++level->node->count > SAGA_YAML_CHILDREN_MAX) {
        saga_report_add(builder->report, saga_yaml_place(node), NULL,
                        "more than %d entries in one %s", SAGA_YAML_CHILDREN_MAX,
                        level->value_next ? "mapping" : "list");
        builder->stop = true;
    } else if (level->value_next) {
        key_check(builder, level, node);
    }
}

static void level_open(struct builder *builder, struct saga_yaml_node *node) {
    node_add(builder, node);
    if (builder->depth == SAGA_YAML_DEPTH_MAX) {
        saga_report_add(builder->report, saga_yaml_place(node), NULL,
                        "nested more than %d levels deep", SAGA_YAML_DEPTH_MAX);
        builder->stop = true;
        return;
    }
    builder->levels[builder->depth++] = (struct level){.node = node};
}

static void level_close(struct builder *builder) {
    assert(builder->depth > 0);
    struct level *level = &builder->levels[--builder->depth];
    assert(!level->value_next);
    if (builder->at > level->node->span.start) {
        level->node->span.end = builder->at;
    }
}

struct saga_span saga_yaml_place(const struct saga_yaml_node *node) {
    if (node->kind == SAGA_YAML_MAPPING && node->first != NULL) {
        return saga_yaml_place(node->first);
    }
    if (node->kind == SAGA_YAML_SCALAR) {
        return node->span;
    }
    return (struct saga_span){node->span.start, node->span.start + 1};
}

/* ------------------------------------------------------------------- events */

/* Where the event stands; false for those that stand nowhere (a value that is
 * not there). */
static bool event_span(struct builder *builder, struct fy_event *event, struct saga_span *span) {
    const struct fy_mark *start = fy_event_start_mark(event);
    const struct fy_mark *end = fy_event_end_mark(event);
    if (start == NULL || end == NULL) {
        return false;
    }
    span->start = (uint32_t)start->input_pos;
    span->end = (uint32_t)end->input_pos;
    assert(span->start <= span->end && span->end <= builder->report->size);
    builder->at = span->end;
    return true;
}

static void refuse(struct builder *builder, struct fy_token *token, const char *what) {
    if (token == NULL) {
        return;
    }
    const struct fy_mark *mark = fy_token_start_mark(token);
    uint32_t at = mark != NULL ? (uint32_t)mark->input_pos : builder->at;
    saga_report_add(builder->report, (struct saga_span){at, at + 1},
                    "write the value itself, everywhere it is needed",
                    "%s are not read in definitions", what);
}

/* An unquoted scalar that says: nothing. */
static bool says_nothing(const char *text, size_t size) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == size && memcmp(words[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

/* libfyaml 0.7.12 leaks memory over the doubled quotes of a single-quoted
 * scalar, so these are read here; a definition needs none of several lines. */
static void single_quoted_read(struct builder *builder, struct saga_span span,
                               struct saga_yaml_node *node) {
    struct saga_report *report = builder->report;
    char *text = saga_arena_take(report->arena, span.end - span.start + 1);
    for (uint32_t at = span.start; at < span.end; at++) {
        char byte = report->text[at];
        if (byte == '\n' || byte == '\r') {
            saga_report_add(report, (struct saga_span){span.start - 1, at}, "write it in one line",
                            "a value in single quotes goes on in the next line");
            break;
        }
        text[node->size++] = byte;
        at += byte == '\'' && at + 1 < span.end;
    }
    node->text = text;
}

static void scalar_text_read(struct builder *builder, struct fy_token *token, struct saga_span span,
                             struct saga_yaml_node *node) {
    enum fy_scalar_style style = fy_token_scalar_style(token);
    node->quoted = style != FYSS_PLAIN;
    if (style == FYSS_SINGLE_QUOTED) {
        single_quoted_read(builder, span, node);
        return;
    }
    const char *text = fy_token_get_text(token, &node->size);
    assert(text != NULL);
    node->text = saga_arena_copy(builder->report->arena, text, node->size);
}

static void scalar_read(struct builder *builder, struct fy_event *event) {
    struct saga_yaml_node *node = node_make(builder, SAGA_YAML_SCALAR);
    struct fy_token *token = event->scalar.value;
    struct saga_span span;
    if (token != NULL && event_span(builder, event, &span)) {
        scalar_text_read(builder, token, span, node);
        /* libfyaml's marks leave out the quotes. */
        const char *text = builder->report->text;
        if (span.start > 0 && (text[span.start - 1] == '"' || text[span.start - 1] == '\'')) {
            span.start--;
            span.end += span.end < builder->report->size;
        }
        node->span = span;
    }
    node->absent = !node->quoted && says_nothing(node->text, node->size);
    node_add(builder, node);
}

static void collection_read(struct builder *builder, struct fy_event *event,
                            enum saga_yaml_kind kind) {
    struct saga_yaml_node *node = node_make(builder, kind);
    (void)event_span(builder, event, &node->span);
    level_open(builder, node);
}

static void alias_read(struct builder *builder, struct fy_event *event) {
    struct saga_yaml_node *node = node_make(builder, SAGA_YAML_SCALAR);
    (void)event_span(builder, event, &node->span);
    refuse(builder, event->alias.anchor, "aliases");
    builder->broken = true;
    node_add(builder, node);
}

static void document_read(struct builder *builder, struct fy_event *event) {
    struct saga_span span = {builder->at, builder->at};
    (void)event_span(builder, event, &span);
    if (++builder->document_count > 1) {
        saga_report_add(builder->report, span, "one definition a file",
                        "a second document starts here");
        builder->stop = true;
    }
}

static void event_read(struct builder *builder, struct fy_event *event) {
    switch (event->type) {
    case FYET_DOCUMENT_START:
        document_read(builder, event);
        break;
    case FYET_SCALAR:
        scalar_read(builder, event);
        refuse(builder, event->scalar.anchor, "anchors");
        refuse(builder, event->scalar.tag, "tags");
        break;
    case FYET_SEQUENCE_START:
        collection_read(builder, event, SAGA_YAML_LIST);
        refuse(builder, event->sequence_start.anchor, "anchors");
        refuse(builder, event->sequence_start.tag, "tags");
        break;
    case FYET_MAPPING_START:
        collection_read(builder, event, SAGA_YAML_MAPPING);
        refuse(builder, event->mapping_start.anchor, "anchors");
        refuse(builder, event->mapping_start.tag, "tags");
        break;
    case FYET_ALIAS:
        alias_read(builder, event);
        break;
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END: {
        struct saga_span span;
        (void)event_span(builder, event, &span);
        level_close(builder);
        break;
    }
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
}

/* ------------------------------------------------------------ syntax errors */

static const struct {
    const char *part; /* of libfyaml's message */
    const char *hint;
} syntax_hints[] = {
    {"tab ", "indent with spaces"},
    {"invalid nested block mapping", "put quotes around a value that has ': ' in it"},
    {"without closing quote", "a quote that opens needs one that closes"},
    {"missing comma in flow", "separate the entries by ',' and end with the closing bracket"},
    {"wrongly indented", "indent what belongs together alike"},
};

static const char *syntax_hint(struct builder *builder, const char *message) {
    if (strstr(message, "without a closing") != NULL && builder->depth > 0) {
        const struct saga_yaml_node *open = builder->levels[builder->depth - 1].node;
        return saga_arena_format(builder->report->arena, "the bracket that opens is in line %u",
                                 saga_report_line(builder->report, open->span.start));
    }
    for (size_t i = 0; i < sizeof syntax_hints / sizeof *syntax_hints; i++) {
        if (strstr(message, syntax_hints[i].part) != NULL) {
            return syntax_hints[i].hint;
        }
    }
    return "this is no YAML: look at indentation, quotes and brackets";
}

static void syntax_report(struct builder *builder, struct fy_diag *diag) {
    struct saga_report *report = builder->report;
    void *position = NULL;
    size_t found = 0;
    for (const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &position); error != NULL;
         error = fy_diag_errors_iterate(diag, &position)) {
        unsigned line = error->line > 0 ? (unsigned)error->line : 1;
        unsigned column = error->column > 0 ? (unsigned)error->column : 1;
        uint32_t at = (uint32_t)saga_report_offset(report, line, column);
        saga_report_add(report, (struct saga_span){at, at + 1}, syntax_hint(builder, error->msg),
                        "%s", saga_report_quote(report, error->msg, strlen(error->msg)));
        found++;
    }
    if (found == 0) {
        saga_report_add(report, (struct saga_span){builder->at, builder->at + 1},
                        syntax_hint(builder, ""), "cannot be read on from here");
    }
}

/* ------------------------------------------------------------------ reading */

/* Reads event by event; false where the text is no YAML. */
static bool events_read(struct builder *builder, struct fy_parser *parser) {
    bool ended = false;
    while (!builder->stop) {
        struct fy_event *event = fy_parser_parse(parser);
        if (event == NULL) {
            return ended && !fy_parser_get_stream_error(parser);
        }
        if (event->type == FYET_STREAM_END) {
            struct saga_span span;
            /* Anything that it did not see it would have ignored. */
            ended = event_span(builder, event, &span) && span.end == builder->report->size;
        }
        event_read(builder, event);
        fy_parser_event_free(parser, event);
    }
    return true;
}

static void tree_read(struct builder *builder) {
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL; /* collected, never printed */
    struct fy_diag *diag = fy_diag_create(&diag_config);
    assert(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {
        .search_path = "",
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE | FYPCF_COLLECT_DIAG,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&config);
    assert(parser != NULL);
    int set = fy_parser_set_string(parser, builder->report->text, builder->report->size);
    assert(set == 0);
    if (!events_read(builder, parser)) {
        syntax_report(builder, diag);
        builder->broken = true;
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
}

const struct saga_yaml_node *saga_yaml_read(struct saga_report *report) {
    struct saga_span start = {0, 1};
    if (report->size > SAGA_DEFINITION_BYTES_MAX) {
        saga_report_add(report, start, "split it: one saga a file",
                        "the file has %zu bytes; at most %u are read", report->size,
                        SAGA_DEFINITION_BYTES_MAX);
        return NULL;
    }
    if (!characters_check(report)) {
        return NULL;
    }
    struct builder builder = {.report = report};
    tree_read(&builder);
    if (builder.broken) {
        return NULL;
    }
    if (builder.root == NULL || builder.root->absent) {
        saga_report_add(report, start, "a definition starts with 'saga: NAME'",
                        "there is no definition in this file");
        return NULL;
    }
    if (builder.stop && builder.depth > 0) {
        return NULL; /* stopped amid the tree: what is missing is not the author's error */
    }
    return builder.root;
}
