/*
 * Shapes: the sagas of a simulation, as numbers, and as the YAML that the
 * production parser reads.
 *
 * A shape is written by hand or drawn; its YAML is made of it, and the checker
 * goes by the shape alone. So a definition that is misread is found out.
 *
 * Threads: one.
 */
#ifndef SIM_SHAPE_H
#define SIM_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_STEPS_MAX  8
#define SIM_SHAPES_MAX 4

/* Who takes part in sagas. */
enum sim_party {
    SIM_BOOKING = 0, /* the example's services, as they are */
    SIM_PARKING,
    SIM_BILLING,
    SIM_FENCED_A, /* generated services on the participant library */
    SIM_FENCED_B,
    SIM_LOOSE,  /* has no fence, and runs whatever arrives */
    SIM_SINGLE, /* the same, but its transport never doubles a delivery */
    SIM_LIAR,   /* says that it keeps a fence, and keeps none */
};
#define SIM_PARTY_COUNT  8
#define SIM_FENCED_COUNT 5 /* of which on the participant library */

struct sim_party_row {
    const char *name;
    bool fenced; /* as declared */
    bool single;
    bool honest; /* keeps what it declares */
};
extern const struct sim_party_row sim_parties[SIM_PARTY_COUNT];

enum sim_place { SIM_BEFORE = 1, SIM_AT_PIVOT, SIM_BEHIND };
enum sim_undo { SIM_UNDO_NONE = 1, SIM_UNDO_OWN, SIM_UNDO_BY };
enum sim_doubt { SIM_DOUBT_FENCE = 1, SIM_DOUBT_COMPENSATE, SIM_DOUBT_PARK };

/* Times in ms; 0: none, without end. */
struct sim_patience {
    int64_t timeout_ms, deadline_ms, initial_ms, max_ms;
    uint32_t factor;
    uint32_t attempts;
};

struct sim_step {
    char name[12];
    const char *does;                                  /* command names */
    const char *undoes;                                /* NULL: no compensation of its own */
    const char *done, *rejected, *undone, *not_undone; /* events; NULL: none listed */
    enum sim_party party;
    enum sim_place place;
    enum sim_undo undo;
    uint8_t undone_by;
    enum sim_doubt doubt; /* as it means here, whatever was inherited */
    struct sim_patience action, compensation;
};

struct sim_shape {
    char name[16];
    bool booking; /* of the example: the three services' tables say more about it */
    uint8_t step_count;
    uint8_t pivot; /* or 0xff */
    int64_t deadline_ms;
    struct sim_step steps[SIM_STEPS_MAX];
    char yaml[8192];
    char hash[33]; /* of its content, once it was parsed; "": not yet */
};

/* The shapes of this simulation; draws them. */
void sim_shapes_begin(void);
uint8_t sim_shape_count(void);
struct sim_shape *sim_shape(uint8_t number);

/* The file of the example, once: its text is the booking shape's YAML. False:
 * it cannot be read. */
bool sim_shape_read_example(const char *path);

#endif
