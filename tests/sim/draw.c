#include "draw.h"

#include "splitmix.h"

static struct splitmix generator;

void sim_draw_begin(uint64_t seed) {
    generator.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

uint64_t sim_draw(void) {
    return splitmix_next(&generator);
}

uint64_t sim_draw_below(uint64_t bound) {
    return splitmix_below(&generator, bound);
}

int64_t sim_draw_between(int64_t least, int64_t most) {
    return least + (int64_t)sim_draw_below((uint64_t)(most - least) + 1);
}

bool sim_draw_chance(unsigned permille) {
    return permille > 0 && sim_draw_below(1000) < permille;
}

void sim_draw_bytes(void *context, void *bytes, size_t size) {
    (void)context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)sim_draw();
    }
}
