/*
 * Base64 (RFC 4648, with padding).
 *
 * Threads: no state.
 */
#ifndef SAGA_BASE64_H
#define SAGA_BASE64_H

#include <stddef.h>

/* The text of `size` bytes, malloc'd; NULL: no memory. */
char *saga_base64_encode(const void *bytes, size_t size);

#endif
