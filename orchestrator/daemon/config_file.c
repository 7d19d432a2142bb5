#include "config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "report.h"
#include "value.h"
#include "yaml.h"

#define FILE_BYTES_MAX (64u << 10)

/* A setting of several values may be a mapping of them, or one text: this makes it that. False: it
 * cannot be one. */
static bool join(const struct saga_yaml_node *mapping, char *text, size_t size) {
    size_t at = 0;
    for (const struct saga_yaml_node *key = mapping->first; key != NULL; key = key->next) {
        const struct saga_yaml_node *value = key->value;
        if (value->kind != SAGA_YAML_SCALAR || value->absent) {
            return false;
        }
        const int put =
            snprintf(text + at, size - at, "%s%s=%s", at > 0 ? "," : "", key->text, value->text);
        if (put < 0 || (size_t)put >= size - at) {
            return false;
        }
        at += (size_t)put;
    }
    return at > 0;
}

static void set_value(struct saga_report *report, const struct saga_yaml_node *key,
                      enum saga_setting setting, struct saga_config *config) {
    const struct saga_yaml_node *value = key->value;
    const char *name = saga_setting_key(setting);
    const char *text = NULL;
    char joined[1024];
    struct saga_fault fault;
    if (value->kind == SAGA_YAML_MAPPING && setting == SAGA_SETTING_RETENTION &&
        join(value, joined, sizeof joined)) {
        text = joined;
    } else if (value->kind == SAGA_YAML_SCALAR && !value->absent &&
               memchr(value->text, 0, value->size) == NULL) {
        text = value->text;
    }
    if (text == NULL) {
        saga_report_add(report, saga_yaml_place(value), NULL, "'%s' wants one value", name);
    } else if (saga_setting_set(config, setting, text, name, SAGA_ERROR_INVALID, &fault) !=
               SAGA_OK) {
        saga_report_add(report, saga_yaml_place(value), NULL, "%s", fault.text);
    }
}

static void read_settings(struct saga_report *report, struct saga_config *config) {
    const char *names[SAGA_SETTING_COUNT];
    const struct saga_yaml_node *found[SAGA_SETTING_COUNT];
    const struct saga_yaml_node *root = saga_yaml_read(report);
    for (int setting = 1; setting <= SAGA_SETTING_COUNT; setting++) {
        names[setting - 1] = saga_setting_key((enum saga_setting)setting);
    }
    if (root == NULL ||
        !saga_value_keys(report, root, "the configuration", names, SAGA_SETTING_COUNT, found)) {
        return;
    }
    for (int setting = 1; setting <= SAGA_SETTING_COUNT; setting++) {
        if (found[setting - 1] != NULL) {
            set_value(report, found[setting - 1], (enum saga_setting)setting, config);
        }
    }
}

enum saga_error saga_config_file_read(struct saga_config *config, const char *path,
                                      struct saga_fault *fault) {
    char *text = NULL;
    size_t size = 0;
    enum saga_error error = saga_file_read(path, FILE_BYTES_MAX, &text, &size, fault);
    if (error != SAGA_OK) {
        return error;
    }
    struct saga_arena arena;
    struct saga_report report;
    struct saga_diagnostics diagnostics = {0};
    saga_arena_init(&arena);
    saga_report_init(&report, &arena, text, size);
    read_settings(&report, config);
    if (report.count > 0) {
        saga_report_emit(&report, &diagnostics);
        char *printed = saga_diagnostics_text(&diagnostics, path);
        (void)fputs(printed, stderr);
        free(printed);
        error = saga_fault_set(fault, SAGA_ERROR_INVALID,
                               "%.300s is wrong in %zu places; nothing was started", path,
                               report.count);
        saga_diagnostics_free(&diagnostics);
    }
    saga_arena_fini(&arena);
    free(text);
    return error;
}
