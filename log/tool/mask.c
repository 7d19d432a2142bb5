#include "mask.h"

#include <ctype.h>
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

/* The next word of a name, in lower case: "card", "Number", "IBAN" of card_NumberIBAN are three. A
 * word that is too long is cut. Returns what follows it. */
static const char *next_word(const char *name, char word[WORD_BYTES_MAX]) {
    size_t size = 0;
    while (*name != '\0' && !isalnum((unsigned char)*name)) {
        name++;
    }
    bool lower = false;
    for (; isalnum((unsigned char)*name) && !(lower && isupper((unsigned char)*name)); name++) {
        lower = islower((unsigned char)*name) != 0 || isdigit((unsigned char)*name) != 0;
        if (size + 1 < WORD_BYTES_MAX) {
            word[size++] = (char)tolower((unsigned char)*name);
        }
    }
    while (size > 0 && isdigit((unsigned char)word[size - 1])) {
        size--; /* password2 */
    }
    word[size] = '\0';
    return name;
}

bool saga_mask_names(const char *name) {
    char word[WORD_BYTES_MAX];
    char before[WORD_BYTES_MAX] = "";
    while (*name != '\0') {
        char pair[2 * WORD_BYTES_MAX];
        name = next_word(name, word);
        (void)strcpy(pair, before);
        (void)strcat(pair, word);
        if (is_secret(word) || is_secret(pair)) {
            return true;
        }
        (void)strcpy(before, word);
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
