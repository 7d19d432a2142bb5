#include "sagalog_stories.h"

#include <check.h>

#include "sagalog_fixture.h"

struct saga_id stories[STORY_COUNT];
const char *const story_names[STORY_COUNT] = {
    [STORY_COMPLETED] = "completed", [STORY_COMPENSATED] = "compensated",
    [STORY_FENCED] = "fenced",       [STORY_RETRIED] = "retried",
    [STORY_CANCELLED] = "cancelled", [STORY_PENDING] = "pending",
    [STORY_UNSENT] = "unsent",       [STORY_PARKED] = "parked",
    [STORY_SETTLED] = "settled",     [STORY_RESOLVED] = "resolved",
    [STORY_RUNNING] = "running",
};

static void expect_state(struct saga_id id, const char *state) {
    ck_assert_str_eq(booking_state(id), state);
}

/* Until the step "authorize" is asked for. */
static void approve(struct saga_id id) {
    booking_say(id, "booking.create", "BOOKING_CREATED");
    booking_say(id, "parking.block", "PARKING_AVAILABLE");
    booking_say(id, "booking.approve", "BOOKING_APPROVED");
}

/* Back from there. */
static void take_back(struct saga_id id) {
    booking_say(id, "booking.fence", "done");
    booking_say(id, "parking.unblock", "PARKING_UNBLOCKED");
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
}

/* Nobody answers. */
static void wait_for_nothing(int64_t ms) {
    for (int64_t passed_ms = 0; passed_ms < ms; passed_ms += 100) {
        daemon_pass(100);
    }
}

static struct saga_id completed(void) {
    const struct saga_id id = booking_start("key-completed", "{\"total\":10000}");
    approve(id);
    booking_answer(id, "billing.authorize_payment", "{\"content\":{\"bill\":17}}", SAGA_ACCEPTED);
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    booking_say(id, "parking.reserve", "PARKING_RESERVED");
    booking_say(id, "booking.pay", "BOOKING_PAID");
    expect_state(id, "completed");
    return id;
}

static struct saga_id compensated(void) {
    const struct saga_id id = booking_start("key-compensated", "{\"total\":2}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    booking_say(id, "parking.block", "PARKING_UNAVAILABLE");
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
    expect_state(id, "compensated");
    daemon_pass(60000);
    booking_say(id, "parking.block", "PARKING_AVAILABLE");
    expect_state(id, "compensated");
    return id;
}

static struct saga_id fenced(void) {
    const struct saga_id id = booking_start("", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "BILL_EXPLODED"); /* not listed */
    wait_for_nothing(1000);
    daemon_restart();
    wait_for_nothing(5000);
    booking_say(id, "billing.fence", "fenced");
    take_back(id);
    expect_state(id, "compensated");
    return id;
}

static struct saga_id retried(void) {
    const struct saga_id id = booking_start("key-retried", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "BILL_FAILED");
    booking_say(id, "booking.fence", "done");
    booking_say(id, "parking.unblock", "PARKING_STUCK");
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
    expect_state(id, "parked");
    booking_operate(id, SAGA_VERB_RETRY, "ann", "the barrier was mended");
    wait_for_nothing(2500);
    booking_say(id, "parking.unblock", "PARKING_UNBLOCKED");
    expect_state(id, "compensated");
    return id;
}

static struct saga_id cancelled(void) {
    const struct saga_id id = booking_start("key-cancelled", "{}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    /* Moves the cursor, colours, and turns the direction of writing. */
    booking_operate(id, SAGA_VERB_CANCEL, "ev\x1b[2Jil", "\xe2\x80\xaegnp.exe\xff\r\nok \xc3\xa4");
    booking_answer(id, "parking.unblock", "", SAGA_NOOP);
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
    expect_state(id, "compensated");
    return id;
}

static struct saga_id pending(void) {
    const struct saga_id id = booking_start("key-pending", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    booking_operate(id, SAGA_VERB_CANCEL, "bob", "");
    booking_say(id, "parking.fence", "done");
    booking_say(id, "booking.pay", "BOOKING_PAID");
    expect_state(id, "completed");
    return id;
}

static struct saga_id unsent(void) {
    daemon_refuse(true);
    const struct saga_id id = booking_start("key-unsent", "{}");
    wait_for_nothing(70000);
    daemon_refuse(false);
    expect_state(id, "compensated");
    return id;
}

static struct saga_id parked(void) {
    const struct saga_id id = booking_start("key-parked", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    booking_answer(id, "parking.reserve", "", SAGA_RETRY);
    wait_for_nothing(20000);
    expect_state(id, "parked");
    return id;
}

static struct saga_id settled(void) {
    const struct saga_id id = booking_start("key-settled", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "BILL_FAILED");
    booking_say(id, "booking.fence", "done");
    booking_say(id, "parking.unblock", "PARKING_STUCK");
    booking_say(id, "booking.reject", "BOOKING_REJECTED");
    booking_settle(id, (struct saga_request){.type = SAGA_REQUEST_WRITE_OFF, .step = {"block", 5}},
                   "ann", "the barrier was sold");
    booking_say(id, "parking.settle", "SETTLED");
    expect_state(id, "inconsistent");
    return id;
}

static struct saga_id resolved(void) {
    static const char content[] = "{\"gate\":4}";
    const struct saga_id id = booking_start("key-resolved", "{}");
    approve(id);
    booking_say(id, "billing.authorize_payment", "PAYMENT_SUCCESSFUL");
    wait_for_nothing(20000); /* the pivot is silent, and its fence */
    expect_state(id, "parked");
    booking_settle(id,
                   (struct saga_request){.type = SAGA_REQUEST_RESOLVE,
                                         .step = {"reserve", 7},
                                         .verdict = SAGA_DONE,
                                         .content = {content, sizeof content - 1}},
                   "bob", "seen on the screen");
    booking_say(id, "booking.pay", "BOOKING_PAID");
    expect_state(id, "completed_manually");
    return id;
}

static struct saga_id running(void) {
    const struct saga_id id =
        booking_start("key-running",
                      "{\"note\":\"\\u202e\\u001b[31m\\u0007 much more than a line can hold, so it "
                      "is cut somewhere in here, which is no loss: --json has all of it\"}");
    booking_say(id, "booking.create", "BOOKING_CREATED");
    wait_for_nothing(3000);
    return id;
}

void stories_write(const char *data_dir) {
    daemon_open(data_dir);
    stories[STORY_COMPLETED] = completed();
    stories[STORY_COMPENSATED] = compensated();
    stories[STORY_FENCED] = fenced();
    stories[STORY_RETRIED] = retried();
    stories[STORY_CANCELLED] = cancelled();
    stories[STORY_PENDING] = pending();
    stories[STORY_UNSENT] = unsent();
    stories[STORY_PARKED] = parked();
    stories[STORY_SETTLED] = settled();
    stories[STORY_RESOLVED] = resolved();
    stories[STORY_RUNNING] = running();
    expect_state(stories[STORY_RUNNING], "running");
    daemon_kill();
}
