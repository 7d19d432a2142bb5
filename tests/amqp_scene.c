#include "amqp_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "condition.h"

void scene_lock(struct scene *scene) {
    ck_assert_int_eq(pthread_mutex_lock(&scene->mutex), 0);
}

void scene_unlock(struct scene *scene) {
    (void)pthread_cond_broadcast(&scene->changed);
    (void)pthread_mutex_unlock(&scene->mutex);
}

void scene_sleep(struct scene *scene, int64_t until_ms) {
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    (void)pthread_cond_timedwait(&scene->changed, &scene->mutex, &until);
}

void scene_open(struct scene *scene, uint16_t port) {
    *scene = (struct scene){
        .address = {.host_count = 1, .user = "guest", .password = "guest", .vhost = "/"}};
    (void)snprintf(scene->address.hosts[0].name, sizeof scene->address.hosts[0].name, "127.0.0.1");
    scene->address.hosts[0].port = port;
    (void)pthread_mutex_init(&scene->mutex, NULL);
    saga_condition_init(&scene->changed);
}

void scene_close(struct scene *scene) {
    (void)pthread_mutex_destroy(&scene->mutex);
    (void)pthread_cond_destroy(&scene->changed);
    free(scene->deliveries);
}

struct saga_amqp_link_options scene_link_options(const struct scene *scene) {
    return (struct saga_amqp_link_options){.address = &scene->address,
                                           .name = "a test",
                                           .timeout_ms = SAGA_AMQP_TIMEOUT_MS,
                                           .heartbeat_s = SAGA_AMQP_HEARTBEAT_S,
                                           .body_bytes_max = 1u << 20};
}

struct saga_amqp_link *scene_link(const struct scene *scene) {
    const struct saga_amqp_link_options options = scene_link_options(scene);
    struct saga_amqp_link *link = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_amqp_link_open(&link, &options, 0, &fault) == SAGA_OK, "%s", fault.text);
    return link;
}

/* ------------------------------------------------------------------ callbacks */

static enum saga_error note_prepare(void *context, struct saga_amqp_link *link,
                                    struct saga_fault *fault) {
    struct scene *scene = context;
    (void)link;
    (void)fault;
    scene_lock(scene);
    scene->prepared++;
    scene_unlock(scene);
    return SAGA_OK;
}

static void note_turned(void *context, bool up, const char *why) {
    struct scene *scene = context;
    scene_lock(scene);
    scene->up = up;
    scene->ups += up;
    scene->downs += !up;
    if (!up) {
        (void)snprintf(scene->why, sizeof scene->why, "%s", why);
    }
    scene_unlock(scene);
}

static void note_fate(struct saga_amqp_outgoing *outgoing, enum saga_amqp_fate fate) {
    struct letter *letter = outgoing->context;
    struct scene *scene = letter->scene;
    scene_lock(scene);
    if (letter->fate != 0 || fate < SAGA_AMQP_HANDED_OVER || fate > SAGA_AMQP_IN_DOUBT) {
        scene->fates_unknown++;
    } else {
        scene->fates[fate]++;
    }
    letter->fate = (uint8_t)fate;
    scene->settled++;
    scene_unlock(scene);
}

static void note_delivered(void *context, size_t queue, const struct saga_amqp_message *message,
                           struct saga_amqp_ticket ticket) {
    struct scene *scene = context;
    scene_lock(scene);
    if (scene->delivery_count == scene->delivery_max) {
        scene->delivery_max = scene->delivery_max == 0 ? 64 : 2 * scene->delivery_max;
        scene->deliveries =
            realloc(scene->deliveries, scene->delivery_max * sizeof *scene->deliveries);
        ck_assert_ptr_nonnull(scene->deliveries);
    }
    struct delivery *delivery = &scene->deliveries[scene->delivery_count++];
    *delivery =
        (struct delivery){.ticket = ticket, .queue = queue, .body_size = message->body_size};
    (void)snprintf(delivery->message_id, sizeof delivery->message_id, "%s",
                   message->message_id == NULL ? "" : message->message_id);
    scene_unlock(scene);
}

static void note_gathered(void *context) {
    struct scene *scene = context;
    scene_lock(scene);
    scene->gathered++;
    scene_unlock(scene);
}

/* -------------------------------------------------------------------- opening */

struct saga_amqp_publisher_options scene_publisher_options(struct scene *scene) {
    return (struct saga_amqp_publisher_options){.link = scene_link_options(scene),
                                                .seed = 1,
                                                .context = scene,
                                                .prepare = note_prepare,
                                                .turned = note_turned};
}

struct saga_amqp_publisher *scene_publisher(const struct saga_amqp_publisher_options *options) {
    struct saga_amqp_publisher *publisher = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_amqp_publisher_open(&publisher, options, &fault) == SAGA_OK, "%s",
                  fault.text);
    return publisher;
}

struct saga_amqp_consumer_options scene_consumer_options(struct scene *scene, const char *queue) {
    return (struct saga_amqp_consumer_options){.link = scene_link_options(scene),
                                               .queues = {queue},
                                               .seed = 1,
                                               .context = scene,
                                               .prepare = note_prepare,
                                               .delivered = note_delivered,
                                               .gathered = note_gathered,
                                               .turned = note_turned};
}

struct saga_amqp_consumer *scene_consumer(const struct saga_amqp_consumer_options *options) {
    struct saga_amqp_consumer *consumer = NULL;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_amqp_consumer_open(&consumer, options, &fault) == SAGA_OK, "%s", fault.text);
    return consumer;
}

/* -------------------------------------------------------------------- letters */

struct letter *scene_letters(struct scene *scene, size_t count, const char *exchange,
                             const char *routing_key) {
    struct letter *letters = calloc(count, sizeof *letters);
    ck_assert_ptr_nonnull(letters);
    for (size_t i = 0; i < count; i++) {
        struct letter *letter = &letters[i];
        (void)snprintf(letter->id, sizeof letter->id, "m%zu", i);
        letter->scene = scene;
        letter->outgoing.context = letter;
        letter->outgoing.settled = note_fate;
        letter->outgoing.message = (struct saga_amqp_message){.exchange = exchange,
                                                              .routing_key = routing_key,
                                                              .message_id = letter->id,
                                                              .mandatory = true,
                                                              .body = letter->id,
                                                              .body_size = strlen(letter->id)};
    }
    return letters;
}

void scene_put(struct saga_amqp_publisher *publisher, struct letter *letters, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(saga_amqp_publisher_put(publisher, &letters[i].outgoing), "letter %zu", i);
    }
}
