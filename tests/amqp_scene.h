/*
 * A publisher or a consumer in a test: what it was given, what it told, and waiting
 * until it has told it.
 *
 * Hides the options that all tests have alike, and the lock around what comes on
 * the client's thread.
 *
 * Threads: what is in the scene is read by scene_await() and under its mutex.
 */
#ifndef AMQP_SCENE_H
#define AMQP_SCENE_H

#include <check.h>
#include <pthread.h>

#include "consumer.h"
#include "monotonic.h"
#include "publisher.h"

struct scene {
    struct saga_amqp_address address;
    pthread_mutex_t mutex; /* for all of these */
    pthread_cond_t changed;
    bool up;
    unsigned ups, downs; /* how often it was told */
    char why[1024];      /* as last told of a down */
    unsigned prepared;
    unsigned fates[SAGA_AMQP_IN_DOUBT + 1];
    unsigned settled;
    unsigned fates_unknown; /* told twice, or of no known kind */
    unsigned gathered;
    size_t delivery_count, delivery_max;
    struct delivery *deliveries;
    void *context; /* the test's */
};

struct delivery {
    struct saga_amqp_ticket ticket;
    size_t queue;
    size_t body_size;
    char message_id[64];
};

/* A message with its fate. */
struct letter {
    struct saga_amqp_outgoing outgoing;
    struct scene *scene;
    char id[32];
    uint8_t fate; /* 0: none yet */
};

/* The broker is at 127.0.0.1. */
void scene_open(struct scene *scene, uint16_t port);
void scene_close(struct scene *scene);

struct saga_amqp_link_options scene_link_options(const struct scene *scene);
struct saga_amqp_link *scene_link(const struct scene *scene);

/* With callbacks that note what they are told. */
struct saga_amqp_publisher_options scene_publisher_options(struct scene *scene);
struct saga_amqp_publisher *scene_publisher(const struct saga_amqp_publisher_options *options);
struct saga_amqp_consumer_options scene_consumer_options(struct scene *scene, const char *queue);
struct saga_amqp_consumer *scene_consumer(const struct saga_amqp_consumer_options *options);

/* `count` letters of the ids "m0", "m1", ..., which are their bodies, too; mandatory. */
struct letter *scene_letters(struct scene *scene, size_t count, const char *exchange,
                             const char *routing_key);
void scene_put(struct saga_amqp_publisher *publisher, struct letter *letters, size_t count);

/* Waits for something that a callback notes; else the test has failed. */
#define scene_await_for(scene, seconds, condition)                                                 \
    do {                                                                                           \
        const int64_t until_ms_ = monotonic_ms() + (seconds)*1000;                                 \
        scene_lock(scene);                                                                         \
        while (!(condition) && monotonic_ms() < until_ms_) {                                       \
            scene_sleep(scene, until_ms_);                                                         \
        }                                                                                          \
        const bool came_ = (condition);                                                            \
        scene_unlock(scene);                                                                       \
        ck_assert_msg(came_, "within %d s: %s; last words: %s", (int)(seconds), #condition,        \
                      (scene)->why);                                                               \
    } while (0)
#define scene_await(scene, condition) scene_await_for(scene, 15, condition)

void scene_lock(struct scene *scene);
void scene_unlock(struct scene *scene); /* and tells who waits */
void scene_sleep(struct scene *scene, int64_t until_ms);

#endif
