/*
 * Base64 (RFC 4648, section 4): bytes in JSON that are no text.
 *
 * Threads: no state.
 */
#ifndef SAGA_BASE64_H
#define SAGA_BASE64_H

#include <stddef.h>

/* A text, malloc'd; NULL: no memory. */
char *saga_base64_encode(const void *bytes, size_t size);

/* The bytes of the one text that stands for them, padding included; malloc'd, also of none. NULL:
 * it is none, or there is no memory. */
void *saga_base64_decode(const char *text, size_t length, size_t *size);

#endif
