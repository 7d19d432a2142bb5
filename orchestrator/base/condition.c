#include "condition.h"

#include <assert.h>
#include <time.h>

void saga_condition_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    assert(error == 0);
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    assert(error == 0);
    error = pthread_cond_init(condition, &attributes);
    assert(error == 0);
    (void)pthread_condattr_destroy(&attributes);
}
