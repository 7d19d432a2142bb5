/*
 * The business rules of parking, booking and billing, on the participant library;
 * among them what the Python example gets wrong.
 */
#include "billing.h"
#include "booking.h"
#include "check_run.h"
#include "parking.h"
#include "participant_fixture.h"
#include "service.h"

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define SLOT "5a4f0c1e-0000-7000-8000-000000000001"

static struct saga_participant *parking;
static struct saga_participant *booking;
static struct saga_participant *billing;

static void open_services(void) {
    struct saga_participant_options limited = {
        .switches = {.limited = true, .limit = 50000},
    };
    parking = fixture_open(saga_parking_service(), ":memory:", NULL);
    booking = fixture_open(saga_booking_service(), ":memory:", NULL);
    billing = fixture_open(saga_billing_service(), ":memory:", &limited);
    char uuid[37] = SLOT;
    struct saga_fault fault = {0};
    ck_assert_msg(saga_parking_slot_create(parking, "Slot 1", uuid, &fault) == SAGA_OK, "%s",
                  fault.text);
}

static void close_services(void) {
    saga_participant_close(parking);
    saga_participant_close(booking);
    saga_participant_close(billing);
}

/* The reference of saga `number`'s booking of the slot. */
static const char *reference(unsigned number) {
    static char texts[8][128];
    static unsigned next;
    char *text = texts[next++ % 8];
    (void)snprintf(text, sizeof texts[0], SLOT ":%s", fixture_saga(number));
    return text;
}

/* Delivers a command of saga `number`, with what its data would be after create. */
static struct saga_wire_reply deliver(struct saga_participant *participant, unsigned number,
                                      const char *name, const char *operation, const char *step) {
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{\"parking_slot_uuid\": \"" SLOT "\", \"total\": 12345, \"id\": 1, "
                   "\"status\": \"pending\", \"parking_slot_ref_no\": \"%s\"}",
                   reference(number));
    struct saga_wire_command command = fixture_command(name, operation, step);
    command.saga = fixture_saga(number);
    fixture_identify(&command);
    return fixture_deliver(participant, fixture_with_body(command, body));
}

static void expect(struct saga_wire_reply reply, enum saga_wire_outcome outcome,
                   const char *event) {
    fixture_expect(&reply, outcome, event, reply.replayed);
}

static const char *slot(void) {
    return fixture_text(parking, "SELECT status || ' ' || coalesce(held_by, '-') "
                                 "FROM parking_slots WHERE uuid = '" SLOT "'");
}

static void expect_slot(const char *status, const char *holder) {
    char text[256];
    (void)snprintf(text, sizeof text, "%s %s", status, holder);
    ck_assert_str_eq(slot(), text);
}

/* ----------------------------------------------------------------- parking */

START_TEST(a_slot_is_blocked_then_reserved) {
    expect(deliver(parking, 1, "parking.block", "action", "block"), SAGA_WIRE_DONE,
           "PARKING_AVAILABLE");
    expect_slot("blocked", reference(1));
    expect(deliver(parking, 1, "parking.reserve", "action", "reserve"), SAGA_WIRE_DONE,
           "PARKING_RESERVED");
    expect_slot("reserved", reference(1));
}
END_TEST

START_TEST(a_blocked_slot_is_unblocked) {
    deliver(parking, 1, "parking.block", "action", "block");
    expect(deliver(parking, 1, "parking.unblock", "compensation", "block"), SAGA_WIRE_DONE,
           "PARKING_UNBLOCKED");
    expect_slot("available", "-");
}
END_TEST

/* The Python example's first defect: PARKING_UNAVAILABLE leads to parking.unblock,
 * which makes the slot available whoever holds it. */
START_TEST(unavailable_then_unblock_does_not_free_anothers_slot) {
    deliver(parking, 1, "parking.block", "action", "block");
    expect(deliver(parking, 2, "parking.block", "action", "block"), SAGA_WIRE_REJECTED,
           "PARKING_UNAVAILABLE");
    expect(deliver(parking, 2, "parking.unblock", "compensation", "block"), SAGA_WIRE_NOOP, "NOOP");
    expect_slot("blocked", reference(1));
}
END_TEST

/* Even where no row stands in its way: the slot remembers who holds it. */
START_TEST(unblock_frees_only_what_its_own_reference_blocked) {
    deliver(parking, 1, "parking.block", "action", "block");
    /* Saga 1 is let go behind our back, and saga 2 has the slot now. */
    struct sqlite3 *database = saga_participant_database(parking);
    char sql[256];
    (void)snprintf(sql, sizeof sql, "UPDATE parking_slots SET held_by = '%s'", reference(2));
    ck_assert_int_eq(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    expect(deliver(parking, 1, "parking.unblock", "compensation", "block"), SAGA_WIRE_DONE,
           "PARKING_UNBLOCKED");
    expect_slot("blocked", reference(2));
}
END_TEST

START_TEST(unblock_does_not_undo_a_reservation) {
    deliver(parking, 1, "parking.block", "action", "block");
    deliver(parking, 1, "parking.reserve", "action", "reserve");
    expect(deliver(parking, 1, "parking.unblock", "compensation", "block"), SAGA_WIRE_REJECTED,
           "PARKING_UNBLOCK_FAILED");
    expect_slot("reserved", reference(1));
}
END_TEST

START_TEST(reserve_needs_this_references_block) {
    expect(deliver(parking, 1, "parking.reserve", "action", "reserve"), SAGA_WIRE_REJECTED,
           "PARKING_RESERVATION_FAILED");
    deliver(parking, 1, "parking.block", "action", "block");
    expect(deliver(parking, 2, "parking.reserve", "action", "reserve"), SAGA_WIRE_REJECTED,
           "PARKING_RESERVATION_FAILED");
    expect_slot("blocked", reference(1));
}
END_TEST

static struct saga_wire_reply deliver_body(struct saga_participant *participant, const char *name,
                                           const char *operation, const char *step,
                                           const char *body) {
    return fixture_deliver(participant,
                           fixture_with_body(fixture_command(name, operation, step), body));
}

/* The Python example raises, rejects the message and sends no reply. */
START_TEST(an_unknown_slot_is_unavailable) {
    expect(deliver_body(parking, "parking.block", "action", "block",
                        "{\"parking_slot_ref_no\": \"no-such-slot:x\"}"),
           SAGA_WIRE_REJECTED, "PARKING_UNAVAILABLE");
}
END_TEST

START_TEST(a_body_that_names_no_slot_is_unavailable) {
    static const char *const bodies[] = {
        "{}",
        "{\"parking_slot_ref_no\": null}",
        "{\"parking_slot_ref_no\": 7}",
        "{\"parking_slot_ref_no\": \"\"}",
        "{\"parking_slot_ref_no\": \":\"}",
        "{\"parking_slot_ref_no\": \"" SLOT "\"}",
        "{\"parking_slot_ref_no\": \"" SLOT ":\"}",
        "{\"parking_slot_ref_no\": \"' OR 1=1 --:x\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char step[16];
        (void)snprintf(step, sizeof step, "block-%zu", i);
        expect(deliver_body(parking, "parking.block", "action", step, bodies[i]),
               SAGA_WIRE_REJECTED, "PARKING_UNAVAILABLE");
    }
    expect_slot("available", "-");
}
END_TEST

START_TEST(the_database_keeps_a_slots_state_and_holder_together) {
    struct sqlite3 *database = saga_participant_database(parking);
    static const char *const wrong[] = {
        "UPDATE parking_slots SET status = 'blocked'",
        "UPDATE parking_slots SET held_by = 'x:y'",
        "UPDATE parking_slots SET status = 'taken', held_by = 'x:y'",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(sqlite3_exec(database, wrong[i], NULL, NULL, NULL) & 0xff,
                         SQLITE_CONSTRAINT);
    }
}
END_TEST

START_TEST(slots_are_created_with_a_name_and_an_id) {
    struct saga_fault fault = {0};
    char uuid[37] = "";
    ck_assert_int_eq(saga_parking_slot_create(parking, "Slot 2", uuid, &fault), SAGA_OK);
    ck_assert_uint_eq(strlen(uuid), 36);
    ck_assert_int_eq(uuid[14], '7');
    ck_assert_int_eq(saga_parking_slot_create(parking, "again", uuid, &fault), SAGA_ERROR_CONFLICT);
    uuid[0] = '\0';
    ck_assert_int_eq(saga_parking_slot_create(parking, "", uuid, &fault), SAGA_ERROR_INVALID);
    ck_assert_int_eq(saga_parking_slot_create(parking, "\xff", uuid, &fault), SAGA_ERROR_INVALID);
}
END_TEST

/* ----------------------------------------------------------------- booking */

static const char *booking_status(unsigned number) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT status FROM bookings WHERE uuid = '%s'",
                   fixture_saga(number));
    return fixture_text(booking, sql);
}

START_TEST(a_booking_is_created_approved_and_paid) {
    struct saga_wire_reply reply = deliver(booking, 1, "booking.create", "action", "create");
    fixture_expect(&reply, SAGA_WIRE_DONE, "BOOKING_CREATED", false);
    char content[256];
    (void)snprintf(content, sizeof content,
                   "\"content\": {\"id\": 1, \"status\": \"pending\", "
                   "\"parking_slot_ref_no\": \"%s\"}",
                   reference(1));
    ck_assert_msg(strstr(reply.body, content) != NULL, "%s is not in %s", content, reply.body);
    reply = deliver(booking, 1, "booking.approve", "action", "approve");
    fixture_expect(&reply, SAGA_WIRE_DONE, "BOOKING_APPROVED", false);
    ck_assert_ptr_nonnull(strstr(reply.body, "\"status\": \"approved\""));
    reply = deliver(booking, 1, "booking.pay", "action", "confirm");
    fixture_expect(&reply, SAGA_WIRE_DONE, "BOOKING_PAID", false);
    ck_assert_str_eq(booking_status(1), "paid");
}
END_TEST

START_TEST(reject_finds_its_booking_by_the_row_of_create) {
    deliver(booking, 1, "booking.create", "action", "create");
    deliver(booking, 2, "booking.create", "action", "create");
    struct saga_wire_command command = fixture_command("booking.reject", "compensation", "create");
    command.saga = fixture_saga(2);
    fixture_identify(&command);
    /* The body points at another's booking, and is not believed. */
    struct saga_wire_reply reply =
        fixture_deliver(booking, fixture_with_body(command, "{\"id\": 1}"));
    expect(reply, SAGA_WIRE_DONE, "BOOKING_REJECTED");
    ck_assert_str_eq(booking_status(1), "pending");
    ck_assert_str_eq(booking_status(2), "rejected");
}
END_TEST

START_TEST(reject_undoes_nothing_where_the_row_names_no_booking) {
    deliver(booking, 1, "booking.create", "action", "create");
    ck_assert_int_eq(sqlite3_exec(saga_participant_database(booking),
                                  "UPDATE saga_fence SET content = '{}'", NULL, NULL, NULL),
                     SQLITE_OK);
    struct saga_wire_reply reply = deliver(booking, 1, "booking.reject", "compensation", "create");
    fixture_expect(&reply, SAGA_WIRE_RETRY, "RETRY", false);
    ck_assert_ptr_nonnull(strstr(reply.body, "the result of 'create' has no booking's id"));
    ck_assert_str_eq(booking_status(1), "pending");
}
END_TEST

START_TEST(an_approved_booking_can_be_rejected_a_paid_one_cannot) {
    deliver(booking, 1, "booking.create", "action", "create");
    deliver(booking, 1, "booking.approve", "action", "approve");
    expect(deliver(booking, 1, "booking.reject", "compensation", "create"), SAGA_WIRE_DONE,
           "BOOKING_REJECTED");
    ck_assert_str_eq(booking_status(1), "rejected");

    deliver(booking, 2, "booking.create", "action", "create");
    deliver(booking, 2, "booking.approve", "action", "approve");
    deliver(booking, 2, "booking.pay", "action", "confirm");
    expect(deliver(booking, 2, "booking.reject", "compensation", "create"), SAGA_WIRE_REJECTED,
           "BOOKING_REJECTION_FAILED");
    ck_assert_str_eq(booking_status(2), "paid");
}
END_TEST

/* The orchestrator fences `approve` before it rejects the booking; the late action
 * meets the tombstone. */
START_TEST(a_late_approve_after_reject_is_fenced) {
    deliver(booking, 1, "booking.create", "action", "create");
    expect(deliver(booking, 1, "booking.fence", "fence", "approve"), SAGA_WIRE_FENCED, "FENCED");
    deliver(booking, 1, "booking.reject", "compensation", "create");
    expect(deliver(booking, 1, "booking.approve", "action", "approve"), SAGA_WIRE_FENCED, "FENCED");
    ck_assert_str_eq(booking_status(1), "rejected");
}
END_TEST

/* And if nobody had fenced it, the booking's own state would refuse. */
START_TEST(approve_and_pay_follow_the_bookings_state) {
    expect(deliver(booking, 1, "booking.approve", "action", "approve"), SAGA_WIRE_REJECTED,
           "BOOKING_APPROVAL_FAILED");
    deliver(booking, 2, "booking.create", "action", "create");
    expect(deliver(booking, 2, "booking.pay", "action", "confirm"), SAGA_WIRE_REJECTED,
           "BOOKING_PAYMENT_FAILED");
    deliver(booking, 2, "booking.reject", "compensation", "create");
    expect(deliver(booking, 2, "booking.approve", "action", "approve"), SAGA_WIRE_REJECTED,
           "BOOKING_APPROVAL_FAILED");
    ck_assert_str_eq(booking_status(2), "rejected");
}
END_TEST

START_TEST(a_saga_has_one_booking_at_a_time) {
    deliver(booking, 1, "booking.create", "action", "create");
    expect(deliver(booking, 1, "booking.create", "action", "create-again"), SAGA_WIRE_REJECTED,
           "BOOKING_INVALID");
    deliver(booking, 1, "booking.reject", "compensation", "create");
    /* Run again in a new incarnation: the rejected one does not stand in its way. */
    struct saga_wire_command command = fixture_command("booking.create", "action", "create");
    command.saga = fixture_saga(1);
    command.incarnation = 2;
    fixture_identify(&command);
    struct saga_wire_reply reply = fixture_deliver(
        booking, fixture_with_body(command, "{\"parking_slot_uuid\": \"" SLOT "\"}"));
    expect(reply, SAGA_WIRE_DONE, "BOOKING_CREATED");
    ck_assert_int_eq(fixture_integer(booking, "SELECT count(*) FROM bookings"), 2);
}
END_TEST

START_TEST(a_booking_needs_a_slot) {
    static const char long_slot[] =
        "{\"parking_slot_uuid\": \"0123456789012345678901234567890123456789"
        "0123456789012345678901234\"}"; /* 65 characters */
    static const char *const bodies[] = {
        "{}",
        "{\"parking_slot_uuid\": 5}",
        "{\"parking_slot_uuid\": \"\"}",
        "{\"parking_slot_uuid\": \"a:b\"}",
        "{\"parking_slot_uuid\": \"a b\"}",
        long_slot,
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char step[16];
        (void)snprintf(step, sizeof step, "create-%zu", i);
        expect(deliver_body(booking, "booking.create", "action", step, bodies[i]),
               SAGA_WIRE_REJECTED, "BOOKING_INVALID");
    }
    ck_assert_int_eq(fixture_integer(booking, "SELECT count(*) FROM bookings"), 0);
}
END_TEST

/* ----------------------------------------------------------------- billing */

static const char *bill(unsigned number) {
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "SELECT group_concat(status || ' ' || total) FROM billing_requests "
                   "WHERE reference_no = '%s' ORDER BY id",
                   reference(number));
    return fixture_text(billing, sql);
}

START_TEST(a_bill_is_paid_then_refunded) {
    expect(deliver(billing, 1, "billing.authorize_payment", "action", "authorize"), SAGA_WIRE_DONE,
           "PAYMENT_SUCCESSFUL");
    ck_assert_str_eq(bill(1), "paid 12345");
    expect(deliver(billing, 1, "billing.refund", "compensation", "authorize"), SAGA_WIRE_DONE,
           "BILL_REFUNDED");
    ck_assert_str_eq(bill(1), "refunded 12345");
}
END_TEST

START_TEST(pay_bill_is_another_name) {
    expect(deliver(billing, 1, "pay.bill", "action", "authorize"), SAGA_WIRE_DONE,
           "PAYMENT_SUCCESSFUL");
    ck_assert_str_eq(bill(1), "paid 12345");
}
END_TEST

/* The Python example raises, rejects the message and sends no reply. */
START_TEST(a_second_authorization_of_one_booking_is_declined) {
    deliver(billing, 1, "billing.authorize_payment", "action", "authorize");
    expect(deliver(billing, 1, "billing.authorize_payment", "action", "authorize-again"),
           SAGA_WIRE_REJECTED, "BILL_FAILED");
    expect(deliver(billing, 1, "billing.refund", "compensation", "authorize-again"), SAGA_WIRE_NOOP,
           "NOOP");
    ck_assert_str_eq(bill(1), "paid 12345");
}
END_TEST

START_TEST(a_refunded_booking_may_be_billed_again) {
    deliver(billing, 1, "billing.authorize_payment", "action", "authorize");
    deliver(billing, 1, "billing.refund", "compensation", "authorize");
    expect(deliver(billing, 1, "billing.authorize_payment", "action", "authorize-again"),
           SAGA_WIRE_DONE, "PAYMENT_SUCCESSFUL");
    ck_assert_str_eq(bill(1), "refunded 12345,paid 12345");
}
END_TEST

static void expect_total(const char *total, const char *expected) {
    static int step_number;
    char body[256], step[16];
    (void)snprintf(step, sizeof step, "step-%d", step_number++);
    (void)snprintf(body, sizeof body, "{%s\"parking_slot_ref_no\": \"s:%s\"}", total, step);
    struct saga_wire_reply reply =
        deliver_body(billing, "billing.authorize_payment", "action", step, body);
    if (strcmp(expected, "declined") == 0) {
        expect(reply, SAGA_WIRE_REJECTED, "BILL_FAILED");
        return;
    }
    expect(reply, SAGA_WIRE_DONE, "PAYMENT_SUCCESSFUL");
    ck_assert_str_eq(
        fixture_text(billing, "SELECT total FROM billing_requests ORDER BY id DESC LIMIT 1"),
        expected);
}

START_TEST(the_total_is_a_whole_number_up_to_the_limit) {
    expect_total("", "10000"); /* not said: 100.00 */
    expect_total("\"total\": 1, ", "1");
    expect_total("\"total\": 50000, ", "50000");
    expect_total("\"total\": 50001, ", "declined");
    expect_total("\"total\": 9223372036854775807, ", "declined");
    expect_total("\"total\": 0, ", "declined");
    expect_total("\"total\": -5, ", "declined");
    expect_total("\"total\": 100.0, ", "declined");
    expect_total("\"total\": \"100\", ", "declined");
    expect_total("\"total\": null, ", "declined");
}
END_TEST

START_TEST(a_declined_bill_leaves_no_bill) {
    expect(deliver_body(billing, "billing.authorize_payment", "action", "authorize",
                        "{\"total\": 60000, \"parking_slot_ref_no\": \"s:b\"}"),
           SAGA_WIRE_REJECTED, "BILL_FAILED");
    ck_assert_int_eq(fixture_integer(billing, "SELECT count(*) FROM billing_requests"), 0);
    expect(deliver_body(billing, "billing.authorize_payment", "action", "nobody", "{}"),
           SAGA_WIRE_REJECTED, "BILL_FAILED");
}
END_TEST

START_TEST(a_refund_without_a_reference_is_refused) {
    deliver(billing, 1, "billing.authorize_payment", "action", "authorize");
    struct saga_wire_command command =
        fixture_command("billing.refund", "compensation", "authorize");
    command.saga = fixture_saga(1);
    fixture_identify(&command);
    expect(fixture_deliver(billing, command), SAGA_WIRE_REJECTED, "BILL_REFUND_FAILED");
    ck_assert_str_eq(bill(1), "paid 12345");
}
END_TEST

/* ----------------------------------------------------------------- effects */

START_TEST(each_run_of_business_code_is_counted_once) {
    for (int i = 0; i < 3; i++) {
        deliver(parking, 1, "parking.block", "action", "block");
        deliver(parking, 2, "parking.block", "action", "block");
        deliver(parking, 1, "parking.unblock", "compensation", "block");
        deliver(parking, 3, "parking.unblock", "compensation", "block"); /* null: no code */
        deliver(parking, 4, "parking.fence", "fence", "block");
    }
    ck_assert_str_eq(fixture_text(parking, "SELECT group_concat(what) FROM effects ORDER BY rowid"),
                     "PARKING_AVAILABLE,PARKING_UNAVAILABLE,PARKING_UNBLOCKED");
    ck_assert_int_eq(fixture_integer(parking, "SELECT count(DISTINCT command_id) FROM effects"), 3);
}
END_TEST

START_TEST(a_refused_compensation_leaves_no_effect) {
    deliver(parking, 1, "parking.block", "action", "block");
    deliver(parking, 1, "parking.reserve", "action", "reserve");
    deliver(parking, 1, "parking.unblock", "compensation", "block");
    ck_assert_int_eq(
        fixture_integer(parking, "SELECT count(*) FROM effects WHERE what LIKE '%UNBLOCK%'"), 0);
}
END_TEST

START_TEST(every_switch_fits_the_services) {
    const struct saga_service *services[] = {saga_parking_service(), saga_booking_service(),
                                             saga_billing_service()};
    static const char *const names[] = {
        "parking.block",  "parking.reserve", "parking.unblock", "parking.fence",
        "booking.create", "booking.approve", "booking.pay",     "booking.reject",
        "booking.fence",  "pay.bill",        "billing.refund",  "billing.authorize_payment",
        "billing.fence",
    };
    struct saga_participant_switches switches = {0};
    struct saga_fault fault = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fixture_add_switch(&switches, SAGA_PARTICIPANT_SWITCH_FAIL, names[i]);
    }
    ck_assert_msg(saga_participant_switches_check(&switches, services, 3, &fault) == SAGA_OK, "%s",
                  fault.text);
}
END_TEST

START_TEST(fail_answers_each_commands_own_event) {
    static const struct {
        const char *name, *event; /* NULL: retry */
    } commands[] = {
        {"parking.block", "PARKING_UNAVAILABLE"},
        {"parking.reserve", "PARKING_RESERVATION_FAILED"},
        {"booking.create", NULL},
        {"booking.approve", NULL},
        {"booking.pay", NULL},
        {"billing.authorize_payment", "BILL_FAILED"},
        {"pay.bill", "BILL_FAILED"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct saga_participant_options options = {0};
        fixture_add_switch(&options.switches, SAGA_PARTICIPANT_SWITCH_FAIL, commands[i].name);
        const struct saga_service *service =
            strncmp(commands[i].name, "parking", 7) == 0   ? saga_parking_service()
            : strncmp(commands[i].name, "booking", 7) == 0 ? saga_booking_service()
                                                           : saga_billing_service();
        struct saga_participant *participant = fixture_open(service, ":memory:", &options);
        struct saga_wire_reply reply = deliver(participant, 1, commands[i].name, "action", "step");
        expect(reply, commands[i].event == NULL ? SAGA_WIRE_RETRY : SAGA_WIRE_REJECTED,
               commands[i].event == NULL ? "RETRY" : commands[i].event);
        saga_participant_close(participant);
    }
}
END_TEST

/* ------------------------------------------------------------------- scans */

/* A full scan takes the longer the more rows there are: with a hundred thousand, longer than
 * everything else together. */
static void expect_no_scan(struct saga_participant *participant) {
    sqlite3 *database = saga_participant_database(participant);
    sqlite3_stmt *statement = NULL;
    unsigned count = 0;
    while ((statement = sqlite3_next_stmt(database, statement)) != NULL) {
        ck_assert_msg(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0) == 0,
                      "it looks at every row: %s", sqlite3_sql(statement));
        count++;
    }
    ck_assert_uint_ge(count, 3);
}

START_TEST(no_command_looks_at_every_row) {
    struct saga_fault fault = {0};
    for (unsigned i = 0; i < 5; i++) {
        char uuid[37] = "";
        ck_assert_int_eq(saga_parking_slot_create(parking, "Another", uuid, &fault), SAGA_OK);
    }
    for (unsigned number = 1; number <= 5; number++) {
        deliver(booking, number, "booking.create", "action", "create");
        deliver(parking, number, "parking.block", "action", "block");
        deliver(booking, number, "booking.approve", "action", "approve");
        deliver(billing, number, "billing.authorize_payment", "action", "authorize");
        if (number % 2 == 0) {
            deliver(parking, number, "parking.reserve", "action", "reserve");
            deliver(booking, number, "booking.pay", "action", "confirm");
        } else {
            deliver(billing, number, "billing.refund", "compensation", "authorize");
            deliver(parking, number, "parking.unblock", "compensation", "block");
            deliver(booking, number, "booking.reject", "compensation", "create");
        }
    }
    expect_no_scan(parking);
    expect_no_scan(booking);
    expect_no_scan(billing);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("services");
    TCase *tests = tcase_create("services");
    tcase_add_checked_fixture(tests, open_services, close_services);
    tcase_add_test(tests, a_slot_is_blocked_then_reserved);
    tcase_add_test(tests, a_blocked_slot_is_unblocked);
    tcase_add_test(tests, unavailable_then_unblock_does_not_free_anothers_slot);
    tcase_add_test(tests, unblock_frees_only_what_its_own_reference_blocked);
    tcase_add_test(tests, unblock_does_not_undo_a_reservation);
    tcase_add_test(tests, reserve_needs_this_references_block);
    tcase_add_test(tests, an_unknown_slot_is_unavailable);
    tcase_add_test(tests, a_body_that_names_no_slot_is_unavailable);
    tcase_add_test(tests, the_database_keeps_a_slots_state_and_holder_together);
    tcase_add_test(tests, slots_are_created_with_a_name_and_an_id);
    tcase_add_test(tests, a_booking_is_created_approved_and_paid);
    tcase_add_test(tests, reject_finds_its_booking_by_the_row_of_create);
    tcase_add_test(tests, reject_undoes_nothing_where_the_row_names_no_booking);
    tcase_add_test(tests, an_approved_booking_can_be_rejected_a_paid_one_cannot);
    tcase_add_test(tests, a_late_approve_after_reject_is_fenced);
    tcase_add_test(tests, approve_and_pay_follow_the_bookings_state);
    tcase_add_test(tests, a_saga_has_one_booking_at_a_time);
    tcase_add_test(tests, a_booking_needs_a_slot);
    tcase_add_test(tests, a_bill_is_paid_then_refunded);
    tcase_add_test(tests, pay_bill_is_another_name);
    tcase_add_test(tests, a_second_authorization_of_one_booking_is_declined);
    tcase_add_test(tests, a_refunded_booking_may_be_billed_again);
    tcase_add_test(tests, the_total_is_a_whole_number_up_to_the_limit);
    tcase_add_test(tests, a_declined_bill_leaves_no_bill);
    tcase_add_test(tests, a_refund_without_a_reference_is_refused);
    tcase_add_test(tests, each_run_of_business_code_is_counted_once);
    tcase_add_test(tests, a_refused_compensation_leaves_no_effect);
    tcase_add_test(tests, every_switch_fits_the_services);
    tcase_add_test(tests, fail_answers_each_commands_own_event);
    tcase_add_test(tests, no_command_looks_at_every_row);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
