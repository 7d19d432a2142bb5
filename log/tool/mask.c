#include "mask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define WORD_BYTES_MAX 32

/* Single words, and pairs of words without what is between them. */
static const char *const secrets[] = {
    "password",   "passwd",     "pwd",         "passphrase", "pin",       "secret",
    "secrets",    "token",      "tokens",      "apikey",     "accesskey", "card",
    "cardnumber", "privatekey", "credential",  "iban",       "pan",       "cvv",
    "cvc",        "ssn",        "credentials", "cookie",     "bearer",    "authorization",
};

static bool is_secret(const char *word) {
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (strcmp(secrets[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_part(char c) {
    return isalnum((unsigned char)c) != 0;
}

/* Where the word ends that begins here: at what is no letter or digit, and before a capital that
 * does not follow one. "cardNumber" is two words, "IBAN" is one. */
static const char *end_of_word(const char *word) {
    bool lower = false;
    while (is_part(*word) && !(lower && isupper((unsigned char)*word))) {
        lower = !isupper((unsigned char)*word);
        word++;
    }
    return word;
}

/* Copies it in lower case, without digits at its end; one that is too long is cut. */
static void copy_word(const char *begin, const char *end, char word[WORD_BYTES_MAX]) {
    size_t size = 0;
    for (; begin < end && size + 1 < WORD_BYTES_MAX; begin++) {
        word[size++] = (char)tolower((unsigned char)*begin);
    }
    while (size > 0 && isdigit((unsigned char)word[size - 1])) {
        size--; /* password2 */
    }
    word[size] = '\0';
}

bool saga_mask_names(const char *name) {
    char word[WORD_BYTES_MAX];
    char before[WORD_BYTES_MAX] = "";
    while (*name != '\0') {
        char pair[2 * WORD_BYTES_MAX];
        if (!is_part(*name)) {
            name++;
            continue;
        }
        const char *end = end_of_word(name);
        copy_word(name, end, word);
        (void)snprintf(pair, sizeof pair, "%s%s", before, word);
        if (is_secret(word) || is_secret(pair)) {
            return true;
        }
        memcpy(before, word, sizeof before);
        name = end;
    }
    return false;
}

static bool mask_object(json_t *object) {
    const char *name;
    json_t *value;
    void *next;
    bool masked = false;
    json_object_foreach_safe(object, next, name, value) {
        if (!saga_mask_names(name)) {
            masked = saga_mask_json(value) || masked;
        } else if (!json_is_null(value)) {
            masked = true;
            if (json_object_set_new(object, name, json_string("***")) != 0) {
                (void)json_object_del(object, name); /* no memory: rather gone than shown */
            }
        }
    }
    return masked;
}

bool saga_mask_json(json_t *json) {
    if (json_is_object(json)) {
        return mask_object(json);
    }
    bool masked = false;
    json_t *item;
    size_t i;
    if (json_is_array(json)) {
        json_array_foreach(json, i, item) {
            masked = saga_mask_json(item) || masked;
        }
    }
    return masked;
}

/* ----------------------------------------------------------------- records */

/* Replaces *bytes by a masked copy, which is *owned; leaves them where there is nothing to mask. */
static enum saga_error cover(struct saga_bytes *bytes, char **owned, struct saga_fault *fault) {
    json_t *json = NULL;
    size_t size = 0;
    if (bytes->size == 0 || saga_json_parse(bytes->data, bytes->size, &json, NULL) != SAGA_OK) {
        return SAGA_OK;
    }
    if (saga_mask_json(json)) {
        *owned = saga_json_text(json, &size);
        *bytes = (struct saga_bytes){.data = *owned, .size = (uint32_t)size};
    }
    json_decref(json);
    return bytes->data != NULL
               ? SAGA_OK
               : saga_fault_set(fault, SAGA_ERROR_FAILED, "no memory for a masked payload");
}

enum saga_error saga_masked_make(struct saga_masked *masked, const struct saga_record *record,
                                 bool secrets_too, struct saga_fault *fault) {
    *masked = (struct saga_masked){.record = *record};
    if (secrets_too ||
        record->fact == SAGA_DEFINITION_LOADED) { /* which has names, and no values */
        return SAGA_OK;
    }
    enum saga_error error = cover(&masked->record.payload, &masked->payload, fault);
    if (error == SAGA_OK) {
        error = cover(&masked->record.content, &masked->content, fault);
    }
    if (error != SAGA_OK) {
        saga_masked_fini(masked);
    }
    return error;
}

void saga_masked_fini(struct saga_masked *masked) {
    free(masked->payload);
    free(masked->content);
    masked->payload = NULL;
    masked->content = NULL;
}
