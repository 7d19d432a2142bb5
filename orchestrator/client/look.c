#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "terminal.h"

#define LIST_DEFAULT 50

/* A member's text, or `otherwise`. */
static const char *text_of(const json_t *json, const char *name, const char *otherwise) {
    const char *text = json_string_value(json_object_get(json, name));
    return text != NULL ? text : otherwise;
}

static void number_text(const json_t *number, char text[24]) {
    (void)snprintf(text, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
}

/* ----------------------------------------------------------------------- get */

static void show_times(const json_t *saga) {
    char age[SAGA_AGE_TEXT_SIZE];
    const char *started = text_of(saga, "started_at", NULL);
    const char *ended = text_of(saga, "ended_at", NULL);
    if (started != NULL) {
        (void)printf("started  %s, %s\n", started, saga_terminal_age(started, age));
    }
    if (started != NULL && ended != NULL) {
        const int64_t took_ms = saga_terminal_time(ended) - saga_terminal_time(started);
        (void)printf("ended    %s, after %.3f s\n", ended, (double)took_ms / 1000);
    }
}

static void show_steps(const json_t *steps) {
    static const struct saga_column columns[] = {
        {.title = "STEP", .shrink = true},
        {.title = "STATUS", .status = true},
        {.title = "ATTEMPTS", .right = true},
    };
    struct saga_table *table = saga_table_open(columns, 3);
    size_t i;
    const json_t *step;
    json_array_foreach(steps, i, step) {
        char attempts[24];
        number_text(json_object_get(step, "attempts"), attempts);
        saga_table_add(table, (const char *const[]){text_of(step, "name", "?"),
                                                    text_of(step, "status", "?"), attempts});
    }
    (void)putchar('\n');
    saga_table_print(table);
}

/* Where the daemon is, if that was said: so that what is printed can be repeated as it is. */
static void show_where(const struct saga_order *order) {
    if (order->server != NULL) {
        (void)printf(" --server '");
        saga_terminal_text(order->server);
        (void)putchar('\'');
    } else if (order->data_dir != NULL) {
        (void)printf(" --data-dir '");
        saga_terminal_text(order->data_dir);
        (void)putchar('\'');
    }
}

/* "sagactl resolve ID --step block --verdict done --reason TEXT" */
static void show_command(const char *verb, const char *id, const char *step,
                         const struct saga_order *order) {
    const bool resolve = strncmp(verb, "resolve ", 8) == 0;
    const bool by_hand =
        resolve || strcmp(verb, "mark-compensated") == 0 || strcmp(verb, "write-off") == 0;
    (void)printf("  sagactl ");
    saga_terminal_text(resolve ? "resolve" : verb);
    (void)printf(" %s", id);
    show_where(order);
    if (by_hand) {
        (void)printf(" --step ");
        saga_terminal_text(step);
    }
    if (resolve) {
        (void)printf(" --verdict ");
        saga_terminal_text(verb + 8);
    }
    (void)puts(by_hand ? " --reason TEXT" : "");
}

/* What waits for a person, and the commands that would end it. */
static void show_attention(const json_t *saga, const struct saga_order *order) {
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(saga, "attention"), i, item) {
        const char *since = text_of(item, "since", NULL);
        const json_t *verb;
        size_t j;
        char age[SAGA_AGE_TEXT_SIZE];
        (void)printf("\nstep ");
        saga_terminal_text(text_of(item, "step", "?"));
        (void)printf(" (");
        saga_terminal_text(text_of(item, "reason", "?"));
        (void)printf("): ");
        saga_terminal_text(text_of(item, "why", "?"));
        if (since != NULL) {
            (void)printf("; since %s, %s", since, saga_terminal_age(since, age));
        }
        (void)puts(json_array_size(json_object_get(item, "verbs")) > 0 ? ". One of these ends it:"
                                                                       : ".");
        json_array_foreach(json_object_get(item, "verbs"), j, verb) {
            const char *name = json_string_value(verb);
            if (name != NULL) {
                show_command(name, text_of(saga, "id", "?"), text_of(item, "step", "?"), order);
            }
        }
    }
}

void saga_show_saga(const json_t *saga, const struct saga_order *order) {
    const char *reason = text_of(saga, "reason", NULL);
    const char *detail = text_of(saga, "detail", NULL);
    const json_t *steps = json_object_get(saga, "steps");
    const json_t *data = json_object_get(saga, "data");
    size_t size;
    (void)printf("id       %s\nsaga     ", text_of(saga, "id", "?"));
    saga_terminal_text(text_of(saga, "saga", "?"));
    if (json_is_integer(json_object_get(saga, "version"))) {
        (void)printf(", version %" JSON_INTEGER_FORMAT,
                     json_integer_value(json_object_get(saga, "version")));
    }
    (void)printf("\nstatus   ");
    saga_terminal_status(text_of(saga, "status", "?"), 0);
    (void)printf("%s%s%s\n", reason != NULL ? " (" : "", reason != NULL ? reason : "",
                 reason != NULL ? ")" : "");
    if (detail != NULL) {
        (void)printf("detail   ");
        saga_terminal_text(detail);
        (void)putchar('\n');
    }
    show_times(saga);
    char *text = data != NULL ? saga_json_text(data, &size) : NULL;
    if (text != NULL) {
        (void)printf("data     ");
        saga_terminal_text(text);
        (void)putchar('\n');
        free(text);
    }
    if (json_array_size(steps) > 0) {
        show_steps(steps);
    }
    show_attention(saga, order);
}

int saga_command_get(struct saga_remote *remote, const struct saga_order *order) {
    struct saga_fault fault;
    char id[SAGA_REMOTE_ID_SIZE];
    char path[64];
    json_t *saga;
    enum saga_error error = saga_remote_find(remote, order->id, id, &fault);
    if (error == SAGA_OK) {
        (void)snprintf(path, sizeof path, "/v1/sagas/%s", id);
        error = saga_remote_get(remote, path, &saga, &fault);
    }
    if (error != SAGA_OK) {
        return saga_complain(&fault);
    }
    if (order->json) {
        saga_terminal_json(saga);
    } else {
        saga_show_saga(saga, order);
        json_decref(saga);
    }
    return 0;
}

/* ----------------------------------------------------------------------- list */

static void show_list(const json_t *sagas) {
    static const struct saga_column columns[] = {
        {.title = "ID"},
        {.title = "SAGA", .shrink = true},
        {.title = "VERSION", .right = true},
        {.title = "STATUS", .status = true},
        {.title = "STARTED"},
    };
    struct saga_table *table = saga_table_open(columns, 5);
    size_t i;
    const json_t *row;
    json_array_foreach(sagas, i, row) {
        char age[SAGA_AGE_TEXT_SIZE];
        char version[24];
        const char *id = text_of(row, "id", "?");
        const size_t size = strlen(id);
        number_text(json_object_get(row, "version"), version);
        saga_table_add(
            table, (const char *const[]){size > 8 ? id + size - 8 : id, text_of(row, "saga", "?"),
                                         version, text_of(row, "status", "?"),
                                         saga_terminal_age(text_of(row, "started_at", "?"), age)});
    }
    saga_table_print(table);
}

int saga_command_list(struct saga_remote *remote, const struct saga_order *order) {
    const uint64_t limit = order->limit != 0 ? order->limit : LIST_DEFAULT;
    struct saga_fault fault;
    json_t *sagas;
    bool more;
    if (saga_remote_list(remote, order->status, order->saga, limit, &sagas, &more, &fault) !=
        SAGA_OK) {
        return saga_complain(&fault);
    }
    if (order->json) {
        saga_terminal_json(json_pack("{s:o, s:b}", "sagas", sagas, "more", more));
        return 0;
    }
    if (json_array_size(sagas) == 0) {
        (void)fputs("no such sagas\n", stderr);
    } else {
        show_list(sagas);
    }
    if (more) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "there are more than %" PRIu64 "; see --limit\n", limit);
    }
    json_decref(sagas);
    return 0;
}

/* ---------------------------------------------------------------------- stats */

static void show_counters(const char *prefix, json_t *counters) {
    const char *name;
    json_t *value;
    json_object_foreach(counters, name, value) {
        char path[160];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "", name);
        if (json_is_object(value)) {
            show_counters(path, value);
        } else {
            (void)printf("%-36s %12" JSON_INTEGER_FORMAT "\n", path, json_integer_value(value));
        }
    }
}

int saga_command_stats(struct saga_remote *remote, const struct saga_order *order) {
    struct saga_fault fault;
    json_t *stats;
    if (saga_remote_get(remote, "/v1/stats", &stats, &fault) != SAGA_OK) {
        return saga_complain(&fault);
    }
    if (order->json) {
        saga_terminal_json(stats);
    } else {
        show_counters("", stats);
        json_decref(stats);
    }
    return 0;
}
