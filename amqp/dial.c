#include "dial.h"

#include <assert.h>

/* splitmix64: plenty for a jitter. */
static uint64_t draw(struct saga_amqp_dial *dial) {
    uint64_t z = dial->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void saga_amqp_dial_init(struct saga_amqp_dial *dial, size_t host_count, uint64_t seed) {
    assert(host_count > 0);
    *dial = (struct saga_amqp_dial){.host_count = host_count, .random = seed};
    dial->host = (size_t)(draw(dial) % host_count);
}

size_t saga_amqp_dial_host(struct saga_amqp_dial *dial) {
    const size_t host = dial->host;
    dial->host = (host + 1) % dial->host_count;
    return host;
}

uint32_t saga_amqp_dial_failed(struct saga_amqp_dial *dial) {
    uint32_t most_ms = SAGA_AMQP_DIAL_MS_MAX;
    dial->failures += dial->failures < 30;
    if (dial->failures < 9) { /* 0.2 s, 0.4 s, ... 25.6 s */
        most_ms = SAGA_AMQP_DIAL_MS_MIN << dial->failures;
    }
    return SAGA_AMQP_DIAL_MS_MIN + (uint32_t)(draw(dial) % (most_ms - SAGA_AMQP_DIAL_MS_MIN + 1));
}

void saga_amqp_dial_worked(struct saga_amqp_dial *dial) {
    dial->failures = 0;
}
