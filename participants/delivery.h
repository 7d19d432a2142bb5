/*
 * One delivery inside a batch's transaction: from a command to its reply.
 *
 * Hides the order of things: check, row, fence, business code, row, reply.
 *
 * Threads: as the participant.
 */
#ifndef SAGA_DELIVERY_H
#define SAGA_DELIVERY_H

#include "database.h"
#include "participant.h"
#include "service.h"

struct saga_participant {
    const struct saga_service *service;
    struct saga_database database;
    struct saga_participant_options options;
    struct saga_participant_counts counts;
    uint64_t draws;                              /* state of the generator behind --fail */
    bool crashed[SAGA_PARTICIPANT_SWITCHES_MAX]; /* these crashes have happened: once each */
};

/* What holds for all deliveries of one transaction. */
struct saga_delivery_batch {
    struct saga_participant *participant;
    struct saga_participant_counts counts; /* added up when the batch has been committed */
    int64_t now_ms;
    int64_t purged_before_ms;
    size_t crash; /* index of the --crash that is due, + 1; 0: none */
};

/* Carries out one command. False if the database failed, and with it the batch;
 * then the reply has no body. */
SAGA_CHECKED bool saga_delivery_carry_out(struct saga_delivery_batch *batch,
                                          const struct saga_wire_command *command,
                                          struct saga_wire_reply *reply);

#endif
