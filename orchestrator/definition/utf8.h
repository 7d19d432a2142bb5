/*
 * UTF-8: one character at a time.
 *
 * Hides the encoding. Accepts what RFC 3629 does: no overlong form, no
 * surrogate, nothing above U+10FFFF.
 *
 * Threads: no state.
 */
#ifndef SAGA_UTF8_H
#define SAGA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the first character of `text`, its number in *code; 0 where
 * `text` is empty or does not start with a well-formed character. */
size_t saga_utf8_decode(const char *text, size_t size, uint32_t *code);

/* True if a YAML 1.2 file may hold the character (its production c-printable). */
bool saga_utf8_printable(uint32_t code);

#endif
