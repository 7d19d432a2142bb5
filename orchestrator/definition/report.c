#include "report.h"

#include "utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_BYTES_MAX  60  /* of the text, in a message */
#define EXCERPT_COLUMNS  100 /* of a line */
#define EXCERPT_BEFORE   60  /* the caret, in a line that is longer */
#define EXCERPT_BYTES    ((EXCERPT_COLUMNS + 6) * 4 + (EXCERPT_COLUMNS + 6) + 3)
#define CHARACTER_BROKEN '?'

struct saga_finding {
    struct saga_finding *earlier;
    struct saga_span span;
    size_t number; /* in the order of finding */
    const char *message, *hint;
};

void saga_report_init(struct saga_report *report, struct saga_arena *arena, const char *text,
                      size_t size) {
    *report = (struct saga_report){.arena = arena, .text = text, .size = size};
}

void saga_report_add(struct saga_report *report, struct saga_span span, const char *hint,
                     const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    struct saga_finding *finding = saga_arena_take(report->arena, sizeof *finding);
    *finding = (struct saga_finding){
        .earlier = report->latest,
        .span = span,
        .number = report->count++,
        .message = saga_arena_copy(report->arena, message, strlen(message)),
        .hint = hint,
    };
    report->latest = finding;
}

/* The bytes of the character at `text`, and whether it can be shown. A byte
 * that starts no character counts as one. */
static size_t character(const char *text, size_t size, bool *shown) {
    uint32_t code = 0;
    size_t length = saga_utf8_decode(text, size, &code);
    *shown = length != 0 && code >= 0x20 && saga_utf8_printable(code) && code != 0x85 &&
             code != 0xfeff && code != 0x2028 && code != 0x2029;
    return length == 0 ? 1 : length;
}

const char *saga_report_quote(struct saga_report *report, const char *text, size_t size) {
    char *quote = saga_arena_take(report->arena, QUOTE_BYTES_MAX + sizeof "...");
    size_t at = 0;
    size_t used = 0;
    while (at < size) {
        bool shown = false;
        size_t length = character(text + at, size - at, &shown);
        if (used + length > QUOTE_BYTES_MAX) {
            memcpy(quote + used, "...", sizeof "...");
            return quote;
        }
        if (shown) {
            memcpy(quote + used, text + at, length);
            used += length;
        } else {
            quote[used++] = CHARACTER_BROKEN;
        }
        at += length;
    }
    return quote;
}

/* ------------------------------------------------------------------- places */

/* The bytes of the line break at `at`; 0: there is none. */
static size_t line_break(const struct saga_report *report, size_t at) {
    if (report->text[at] == '\r') {
        return at + 1 < report->size && report->text[at + 1] == '\n' ? 2 : 1;
    }
    return report->text[at] == '\n';
}

/* Where the line of `offset` starts; *line gets its number. */
static size_t line_start(const struct saga_report *report, size_t offset, unsigned *line) {
    size_t start = 0;
    *line = 1;
    for (size_t at = 0; at < offset && at < report->size;) {
        size_t length = line_break(report, at);
        if (length == 0) {
            at++;
        } else if (at + length <= offset) {
            at += length;
            start = at;
            ++*line;
        } else {
            break; /* between the two bytes of a break: still this line */
        }
    }
    return start;
}

static size_t line_end(const struct saga_report *report, size_t start) {
    size_t end = start;
    while (end < report->size && line_break(report, end) == 0) {
        end++;
    }
    return end;
}

static unsigned characters(const struct saga_report *report, size_t from, size_t to) {
    unsigned count = 0;
    while (from < to) {
        bool shown = false;
        from += character(report->text + from, report->size - from, &shown);
        count++;
    }
    return count;
}

unsigned saga_report_line(const struct saga_report *report, size_t offset) {
    unsigned line = 1;
    (void)line_start(report, offset, &line);
    return line;
}

size_t saga_report_offset(const struct saga_report *report, unsigned line, unsigned column) {
    size_t at = 0;
    for (unsigned number = 1; number < line; number++) {
        at = line_end(report, at);
        if (at >= report->size) {
            return report->size;
        }
        at += line_break(report, at);
    }
    size_t end = line_end(report, at);
    for (unsigned number = 1; number < column && at < end; number++) {
        bool shown = false;
        at += character(report->text + at, report->size - at, &shown);
    }
    return at < report->size ? at : report->size;
}

/* ----------------------------------------------------------------- excerpts */

/* The excerpt under construction, with room for the longest one there is. */
struct excerpt {
    char bytes[EXCERPT_BYTES];
    size_t used;
};

static void excerpt_add(struct excerpt *excerpt, const char *bytes, size_t size) {
    assert(excerpt->used + size < sizeof excerpt->bytes);
    memcpy(excerpt->bytes + excerpt->used, bytes, size);
    excerpt->used += size;
    excerpt->bytes[excerpt->used] = '\0';
}

static void excerpt_repeat(struct excerpt *excerpt, char byte, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        excerpt_add(excerpt, &byte, 1);
    }
}

/* Columns [from, to) of the line. A tab is shown as one space: the caret stands
 * under the right character whatever the width of a tab. */
static void excerpt_add_line(struct excerpt *excerpt, const struct saga_report *report,
                             size_t start, size_t end, unsigned from, unsigned to) {
    unsigned column = 0;
    for (size_t at = start; at < end && column < to; column++) {
        bool shown = false;
        size_t length = character(report->text + at, report->size - at, &shown);
        if (column >= from && shown) {
            excerpt_add(excerpt, report->text + at, length);
        } else if (column >= from) {
            char instead = report->text[at] == '\t' ? ' ' : CHARACTER_BROKEN;
            excerpt_add(excerpt, &instead, 1);
        }
        at += length;
    }
}

/* The line and a caret under the place, or NULL where the line is empty. Of a
 * long line only the part around the place. */
static char *excerpt_make(const struct saga_report *report, struct saga_span span, size_t start) {
    size_t end = line_end(report, start);
    if (start == end) {
        return NULL;
    }
    unsigned length = characters(report, start, end);
    unsigned caret = characters(report, start, span.start);
    unsigned after = characters(report, start, span.end < end ? span.end : end);
    unsigned from = 0;
    unsigned to = length;
    if (length > EXCERPT_COLUMNS) {
        from = caret > EXCERPT_BEFORE ? caret - EXCERPT_BEFORE : 0;
        to = from + EXCERPT_COLUMNS < length ? from + EXCERPT_COLUMNS : length;
    }
    struct excerpt excerpt = {.used = 0};
    excerpt_repeat(&excerpt, '.', from > 0 ? 3 : 0);
    excerpt_add_line(&excerpt, report, start, end, from, to);
    excerpt_repeat(&excerpt, '.', to < length ? 3 : 0);
    excerpt_add(&excerpt, "\n", 1);
    excerpt_repeat(&excerpt, ' ', caret - from + (from > 0 ? 3 : 0));
    excerpt_add(&excerpt, "^", 1);
    unsigned last = after < to ? after : to;
    excerpt_repeat(&excerpt, '~', last > caret + 1 ? last - caret - 1 : 0);
    char *text = strdup(excerpt.bytes);
    assert(text != NULL);
    return text;
}

/* -------------------------------------------------------------- diagnostics */

static int in_order(const void *left, const void *right) {
    const struct saga_finding *a = *(const struct saga_finding *const *)left;
    const struct saga_finding *b = *(const struct saga_finding *const *)right;
    if (a->span.start != b->span.start) {
        return a->span.start < b->span.start ? -1 : 1;
    }
    return a->number < b->number ? -1 : 1;
}

static char *own(const char *text) {
    if (text == NULL) {
        return NULL;
    }
    char *copy = strdup(text);
    assert(copy != NULL);
    return copy;
}

static struct saga_diagnostic diagnose(const struct saga_report *report,
                                       const struct saga_finding *finding) {
    struct saga_span span = finding->span;
    struct saga_diagnostic diagnostic = {
        .message = own(finding->message),
        .hint = own(finding->hint),
    };
    size_t start = line_start(report, span.start, &diagnostic.line);
    diagnostic.column = characters(report, start, span.start) + 1;
    diagnostic.excerpt = excerpt_make(report, span, start);
    return diagnostic;
}

void saga_report_emit(const struct saga_report *report, struct saga_diagnostics *diagnostics) {
    *diagnostics = (struct saga_diagnostics){.count = 0};
    if (report->count == 0) {
        return;
    }
    const struct saga_finding **findings = calloc(report->count, sizeof *findings);
    assert(findings != NULL);
    size_t count = 0;
    for (const struct saga_finding *f = report->latest; f != NULL; f = f->earlier) {
        findings[count++] = f;
    }
    qsort(findings, count, sizeof *findings, in_order);
    size_t shown = count < SAGA_REPORT_SHOWN_MAX ? count : SAGA_REPORT_SHOWN_MAX;
    diagnostics->items = calloc(shown + 1, sizeof *diagnostics->items);
    assert(diagnostics->items != NULL);
    for (size_t i = 0; i < shown; i++) {
        diagnostics->items[i] = diagnose(report, findings[i]);
    }
    diagnostics->count = shown;
    if (shown < count) {
        struct saga_diagnostic *last = &diagnostics->items[diagnostics->count++];
        char message[80];
        (void)snprintf(message, sizeof message, "%zu more errors are not shown", count - shown);
        *last = diagnose(report, findings[shown]);
        free((char *)(uintptr_t)last->message);
        free((char *)(uintptr_t)last->hint);
        last->message = own(message);
        last->hint = own("correct those above, and check the file again");
    }
    free(findings);
}

void saga_diagnostics_free(struct saga_diagnostics *diagnostics) {
    for (size_t i = 0; i < diagnostics->count; i++) {
        /* The fields are const for readers; the list owns what they point to. */
        free((char *)(uintptr_t)diagnostics->items[i].message);
        free((char *)(uintptr_t)diagnostics->items[i].hint);
        free((char *)(uintptr_t)diagnostics->items[i].excerpt);
    }
    free(diagnostics->items);
    *diagnostics = (struct saga_diagnostics){.count = 0};
}

/* The two lines of an excerpt, each set in. */
static void print_excerpt(FILE *out, const char *excerpt) {
    const char *end = strchr(excerpt, '\n');
    assert(end != NULL);
    (void)fprintf(out, "  %.*s\n  %s\n", (int)(end - excerpt), excerpt, end + 1);
}

char *saga_diagnostics_text(const struct saga_diagnostics *diagnostics, const char *file) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert(out != NULL);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct saga_diagnostic *item = &diagnostics->items[i];
        (void)fprintf(out, "%s:%u:%u: error: %s\n", file, item->line, item->column, item->message);
        if (item->excerpt != NULL) {
            print_excerpt(out, item->excerpt);
        }
        if (item->hint != NULL) {
            (void)fprintf(out, "  hint: %s\n", item->hint);
        }
    }
    int closed = fclose(out); /* writes to memory: fails only without memory */
    assert(closed == 0);
    return text;
}
