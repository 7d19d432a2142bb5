/*
 * Sizes as text: a number of bytes, or one with K, M, G or T (powers of 1,024), which may be
 * followed by iB.
 *
 * Threads: no state.
 */
#ifndef SAGA_SIZE_H
#define SAGA_SIZE_H

#include "saga.h"

/* The most there is: what LMDB can map in 47 bits of address space. */
#define SAGA_SIZE_BYTES_MAX (UINT64_C(1) << 46)

/* False: it is none, or more. */
SAGA_CHECKED bool saga_size_parse(const char *text, size_t size, uint64_t *bytes);

/* Bytes of the longest text, with its NUL. */
#define SAGA_SIZE_TEXT_BYTES 24

/* Writes it in the largest unit that says it exactly. */
void saga_size_format(uint64_t bytes, char text[SAGA_SIZE_TEXT_BYTES]);

#endif
