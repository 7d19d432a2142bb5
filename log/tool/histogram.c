#include "histogram.h"

#define FINE UINT64_C(16) /* buckets for each doubling; below it a bucket has one number */

/* Up to 2^48 ms; more is shown as that. */
static uint32_t bucket_of(int64_t ms) {
    uint32_t doublings = 0;
    uint64_t value = (uint64_t)ms;
    while (value >= 2 * FINE) {
        value >>= 1;
        doublings++;
    }
    const uint64_t bucket = doublings * FINE + value;
    return bucket < SAGA_HISTOGRAM_BUCKETS ? (uint32_t)bucket : SAGA_HISTOGRAM_BUCKETS - 1;
}

/* The largest number of the bucket. */
static int64_t top_of(uint32_t bucket) {
    if (bucket < 2 * FINE) {
        return bucket;
    }
    const uint64_t doublings = bucket / FINE - 1;
    const uint64_t value = bucket - doublings * FINE;
    return (int64_t)(((value + 1) << doublings) - 1);
}

void saga_histogram_add(struct saga_histogram *histogram, int64_t ms) {
    if (ms < 0) {
        return;
    }
    uint32_t *bucket = &histogram->buckets[bucket_of(ms)];
    *bucket += *bucket < UINT32_MAX;
    histogram->count++;
    histogram->most_ms = ms > histogram->most_ms ? ms : histogram->most_ms;
}

int64_t saga_histogram_percentile(const struct saga_histogram *histogram, unsigned percent) {
    const uint64_t wanted = (histogram->count * percent + 99) / 100;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SAGA_HISTOGRAM_BUCKETS && wanted > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            const int64_t top = top_of(i);
            return i + 1 < SAGA_HISTOGRAM_BUCKETS && top < histogram->most_ms ? top
                                                                              : histogram->most_ms;
        }
    }
    return histogram->most_ms;
}
