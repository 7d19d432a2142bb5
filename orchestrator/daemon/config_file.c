#include "config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "report.h"
#include "value.h"
#include "yaml.h"

#define FILE_BYTES_MAX (64u << 10)

static void set_value(struct saga_report *report, const struct saga_yaml_node *key,
                      enum saga_setting setting, struct saga_config *config) {
    const struct saga_yaml_node *value = key->value;
    struct saga_fault fault;
    const char *name = saga_setting_key(setting);
    if (value->kind != SAGA_YAML_SCALAR || value->absent || memchr(value->text, 0, value->size)) {
        saga_report_add(report, saga_yaml_place(value), NULL, "'%s' wants one value", name);
    } else if (saga_setting_set(config, setting, value->text, name, SAGA_ERROR_INVALID, &fault) !=
               SAGA_OK) {
        saga_report_add(report, value->span, NULL, "%s", fault.text);
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
