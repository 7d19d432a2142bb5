#include "transcript.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "ids.h"
#include "mask.h"
#include "payloads.h"
#include "span.h"
#include "table.h"
#include "trace.h"
#include "view.h"

/* Where the words of a line begin, behind its times and lanes. */
#define INDENT       29
#define HOUR_MS      3600000
#define TEXT_COLUMNS 100
/* Of many lines that say the same, this many are told at the begin and the end. */
#define ALIKE_TOLD 3
/* The least and the most of a text from outside: a line has other words too. */
#define TEXT_COLUMNS_MIN 20
#define OTHER_COLUMNS    59

/* The lines, as they are being written. */
struct transcript {
    FILE *out;
    const struct saga_story *story;
    const struct saga_transcript_style *style;
    struct saga_payloads payloads; /* of the line at hand */
    size_t columns;                /* 0: any */
    int64_t day;                   /* of the last line, since 1970 */
    size_t used;                   /* of the line at hand; 0: there is none */
    const char *separator;         /* before what comes next in it */
    bool lost;                     /* it was said that the records make no sense */
};

static size_t text_columns(size_t columns) {
    const size_t room = columns > OTHER_COLUMNS ? columns - OTHER_COLUMNS : 0;
    if (columns == 0 || room > TEXT_COLUMNS) {
        return TEXT_COLUMNS;
    }
    return room < TEXT_COLUMNS_MIN ? TEXT_COLUMNS_MIN : room;
}

/* ------------------------------------------------------------------- lines */

/* A part of a line; what does not fit goes on in the next one. */
static void put(struct transcript *transcript, const char *separator, const char *text) {
    const size_t width = saga_escape_width(separator) + saga_escape_width(text);
    if (transcript->columns != 0 && transcript->used > INDENT &&
        transcript->used + width > transcript->columns) {
        const bool arrow = strcmp(separator, " -> ") == 0;
        (void)fprintf(transcript->out, "%s\n%*s%s", arrow ? "" : ",", INDENT + 4, "",
                      arrow ? "-> " : "");
        transcript->used = INDENT + 4 + (arrow ? 3 : 0);
        separator = "";
    }
    (void)fprintf(transcript->out, "%s%s", separator, text);
    transcript->used += saga_escape_width(separator) + saga_escape_width(text);
}

/* The time since the saga's start; "?" where that cannot be. `text`: 32 bytes. */
static const char *relative_time(const struct transcript *transcript,
                                 const struct saga_record *record, char *text) {
    const int64_t start_ms = transcript->story->chain.records[0].at_ms;
    const int64_t ms = record->at_ms - start_ms;
    char span[SAGA_SPAN_TEXT_SIZE];
    if (start_ms < 0 || record->at_ms < start_ms || record->at_ms > SAGA_CLOCK_MS_MAX) {
        return "?";
    }
    if (ms < HOUR_MS) {
        (void)snprintf(text, 32, "+%" PRId64 ".%03d s", ms / 1000, (int)(ms % 1000));
    } else {
        (void)snprintf(text, 32, "+%s", saga_span_text(0, ms, span));
    }
    return text;
}

/* Where a new day begins, a line says so: the other lines have the time alone. */
static void put_day(struct transcript *transcript, int64_t wall_ms, const char *time) {
    const int64_t day = wall_ms / (24 * (int64_t)HOUR_MS);
    if (day != transcript->day && transcript->day != 0) {
        (void)fprintf(transcript->out, "%12s%.10s\n", "", time);
    }
    transcript->day = day;
}

/* Which way the decision goes that begins with chain record `index`. */
static const char *lane_of(const struct transcript *transcript,
                           const struct saga_retelling *retelling, size_t index) {
    const struct saga_chain *chain = &transcript->story->chain;
    if (retelling->after == NULL) {
        return "   ";
    }
    if (index > 0 && retelling->before->direction == SAGA_BACKWARD) {
        return "  <";
    }
    for (size_t i = index; i < chain->count; i++) {
        if (i > index && saga_trace_is_cause(&chain->records[i])) {
            break;
        }
        if (chain->records[i].fact == SAGA_COMPENSATION_STARTED) {
            return " \\ ";
        }
    }
    return ">  ";
}

static void begin_line(struct transcript *transcript, const struct saga_retelling *retelling,
                       size_t index) {
    const struct saga_record *record = &transcript->story->chain.records[index];
    char relative[32];
    char time[SAGA_TIME_TEXT_SIZE];
    (void)saga_time_text(record->wall_ms, time);
    put_day(transcript, record->wall_ms, time);
    (void)fprintf(transcript->out, "%10s  %.12s %s ", relative_time(transcript, record, relative),
                  time + 11, lane_of(transcript, retelling, index));
    transcript->used = INDENT;
    transcript->separator = "";
}

static void end_line(struct transcript *transcript) {
    if (transcript->used > 0) {
        (void)fputc('\n', transcript->out);
        transcript->used = 0;
        saga_payloads_print(&transcript->payloads, transcript->out);
    }
}

/* ----------------------------------------------------------------- records */

/* Puts what `write` writes, if anything. */
static enum saga_error put_words(struct transcript *transcript, const char *separator,
                                 void (*write)(FILE *out, const struct saga_record *record,
                                               const struct saga_trace_scene *scene),
                                 const struct saga_record *record,
                                 const struct saga_trace_scene *scene, struct saga_fault *fault) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool whole = memory != NULL;
    if (whole) {
        write(memory, record, scene);
        whole = fclose(memory) == 0;
    }
    if (whole && size > 0) {
        put(transcript, separator, text);
        transcript->separator = *separator == '\0' ? " -> " : ", ";
    }
    free(text);
    return whole ? SAGA_OK : saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a line");
}

static enum saga_error put_record(struct transcript *transcript, const struct saga_record *record,
                                  const struct saga_retelling *retelling,
                                  struct saga_fault *fault) {
    const struct saga_trace_scene scene = {
        .definition = transcript->story->definition,
        .before = retelling->before,
        .after = retelling->after,
        .text_columns = text_columns(transcript->columns),
    };
    struct saga_masked masked;
    enum saga_error error = saga_masked_make(&masked, record, transcript->style->secrets, fault);
    if (error != SAGA_OK) {
        return error;
    }
    error = put_words(transcript, transcript->separator, saga_trace_write, &masked.record, &scene,
                      fault);
    if (error == SAGA_OK) {
        error = put_words(transcript, transcript->separator, saga_trace_conclude, record, &scene,
                          fault);
    }
    if (error == SAGA_OK && transcript->style->payloads) {
        error = saga_payloads_add(&transcript->payloads, &masked.record, scene.definition, fault);
    }
    saga_masked_fini(&masked);
    return error;
}

/* Everything outstanding was sent again, as the same attempt. */
static void put_restart(struct transcript *transcript, const struct saga_record *record,
                        const struct saga_retelling *retelling) {
    char text[SAGA_NAME_BYTES_MAX + 64];
    end_line(transcript);
    transcript->used = INDENT;
    (void)snprintf(text, sizeof text, "daemon started again (epoch %" PRIu32 ")", record->epoch);
    (void)fprintf(transcript->out, "%*s", INDENT, "");
    put(transcript, "", text);
    transcript->separator = " -> ";
    if (retelling->after == NULL) {
        return;
    }
    for (uint8_t i = 0; i < retelling->after->step_count; i++) {
        const struct saga_step *step = &retelling->after->steps[i];
        if ((step->flags & SAGA_STEP_OPEN) != 0 && retelling->after->parked == 0) {
            (void)snprintf(text, sizeof text, "%s#%" PRIu32 " sent again",
                           transcript->story->definition->steps[i].name, step->attempt);
            put(transcript, transcript->separator, text);
            transcript->separator = ", ";
        }
    }
}

static void put_lost(struct transcript *transcript, uint64_t lsn) {
    end_line(transcript);
    (void)fprintf(transcript->out,
                  "%*s-- record %" PRIu64
                  " does not follow from those before it; what is told from here on is not "
                  "checked --\n",
                  INDENT, "", lsn);
    transcript->lost = true;
}

/* True if two records say the same of one command: another attempt came to nothing. */
static bool alike(const struct saga_record *a, const struct saga_record *b) {
    const bool fruitless = a->fact == SAGA_COMMAND_UNSENT || a->fact == SAGA_ATTEMPT_EXPIRED ||
                           (a->fact == SAGA_REPLY_RECEIVED && a->verdict == SAGA_RETRY);
    return fruitless && a->fact == b->fact && a->verdict == b->verdict && a->step == b->step &&
           a->operation == b->operation && a->revision == b->revision &&
           a->incarnation == b->incarnation && a->reason == b->reason && a->epoch == b->epoch;
}

/* True if the record is in the middle of many that say the same. */
static bool tedious(const struct saga_chain *chain, size_t index) {
    if (index < ALIKE_TOLD || index + ALIKE_TOLD >= chain->count) {
        return false;
    }
    for (size_t i = index - ALIKE_TOLD; i < index + ALIKE_TOLD; i++) {
        if (!alike(&chain->records[i], &chain->records[i + 1])) {
            return false;
        }
    }
    return true;
}

/* Folds those in that are not worth a line each; returns how many there are. */
static size_t pass_over(struct transcript *transcript, struct saga_retelling *retelling) {
    size_t count = 0;
    while (retelling->lost_lsn == 0 && tedious(&transcript->story->chain, retelling->next)) {
        (void)saga_retelling_next(retelling);
        count++;
    }
    if (count > 0) {
        end_line(transcript);
        (void)fprintf(transcript->out, "%*s... %zu more like this\n", INDENT, "", count);
    }
    return count;
}

static enum saga_error put_records(struct transcript *transcript, struct saga_retelling *retelling,
                                   struct saga_fault *fault) {
    enum saga_error error = SAGA_OK;
    for (size_t i = 0; i < transcript->story->chain.count && error == SAGA_OK; i++) {
        i += transcript->style->payloads ? 0 : pass_over(transcript, retelling);
        const bool restarted = saga_retelling_restart(retelling);
        if (restarted) {
            put_restart(transcript, &transcript->story->chain.records[i], retelling);
        }
        const struct saga_record *record = saga_retelling_next(retelling);
        if (retelling->lost_lsn != 0 && !transcript->lost) {
            put_lost(transcript, retelling->lost_lsn);
        }
        if (saga_trace_is_cause(record) || restarted || transcript->used == 0) {
            end_line(transcript);
            begin_line(transcript, retelling, i);
        }
        error = put_record(transcript, record, retelling, fault);
    }
    end_line(transcript);
    return error;
}

/* ------------------------------------------------------------ around records */

static void write_header(const struct saga_output *output, const struct saga_story *story) {
    FILE *out = output->file;
    char id[SAGA_ID_TEXT_SIZE];
    char time[SAGA_TIME_TEXT_SIZE];
    char span[SAGA_SPAN_TEXT_SIZE];
    const char *reason = saga_story_reason(story);
    (void)fprintf(out, "saga %s  ", saga_id_text(&story->id, id));
    saga_escape(out, saga_story_name(story), strlen(saga_story_name(story)), SAGA_COLUMNS_ALL);
    if (story->definition != NULL) {
        (void)fprintf(out, " version %" PRIu32, story->definition->version);
    }
    (void)fputc('\n', out);
    saga_table_status(output, story->status);
    if (*reason != '\0') {
        (void)fprintf(out, " (%s)", reason);
    }
    if (story->chain.count > 0) {
        (void)fprintf(out, ", started %s, %zu records over %s",
                      saga_time_text(story->chain.records[0].wall_ms, time), story->chain.count,
                      saga_story_span(story, span));
    }
    (void)fputc('\n', out);
    if (story->problem[0] != '\0') {
        (void)fprintf(out, "out of service: %s\n", story->problem);
    }
    (void)fputc('\n', out);
}

static void write_steps(FILE *out, const struct saga_story *story) {
    if (story->saga == NULL || story->definition == NULL) {
        return;
    }
    (void)fprintf(out, "\n%-24s %-14s %s\n", "STEP", "STATUS", "ATTEMPTS");
    for (uint8_t i = 0; i < story->saga->step_count; i++) {
        const struct saga_step *step = &story->saga->steps[i];
        (void)fprintf(out, "%-24s %-14s %" PRIu32 "\n", story->definition->steps[i].name,
                      saga_step_status_name(step), step->attempt);
    }
}

enum saga_error saga_transcript_write(const struct saga_output *output,
                                      const struct saga_story *story,
                                      const struct saga_transcript_style *style,
                                      struct saga_fault *fault) {
    struct transcript transcript = {
        .out = output->file,
        .story = story,
        .style = style,
        .columns = output->columns,
    };
    struct saga_retelling retelling;
    write_header(output, story);
    enum saga_error error = saga_retelling_open(&retelling, story, fault);
    if (error == SAGA_OK) {
        error = put_records(&transcript, &retelling, fault);
        saga_retelling_close(&retelling);
    }
    saga_payloads_fini(&transcript.payloads);
    if (error == SAGA_OK) {
        write_steps(output->file, story);
    }
    return error;
}
