/*
 * How often which durations were seen: enough for percentiles, in little memory.
 *
 * Hides buckets: a percentile is rounded up, by less than a sixteenth of it. The largest is exact.
 *
 * Threads: one.
 */
#ifndef SAGA_HISTOGRAM_H
#define SAGA_HISTOGRAM_H

#include <stdint.h>

#define SAGA_HISTOGRAM_BUCKETS 720

/* Zeroed: nothing was seen. */
struct saga_histogram {
    uint64_t count;
    int64_t most_ms;
    uint32_t buckets[SAGA_HISTOGRAM_BUCKETS]; /* full at 2^32 - 1 */
};

/* What is negative is none, and left out. */
void saga_histogram_add(struct saga_histogram *histogram, int64_t ms);

/* What `percent` (1 to 100) of 100 were not above; 0: nothing was seen. */
int64_t saga_histogram_percentile(const struct saga_histogram *histogram, unsigned percent);

#endif
