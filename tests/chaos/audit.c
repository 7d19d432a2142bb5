#include "audit.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EFFECTS_MAX 4096

/* One row of `effects`. */
struct effect {
    char saga[API_ID_SIZE];
    char step[32];
    char operation[32];
    char what[64];
    unsigned incarnation, revision;
};

struct audit {
    const char *dir;
    const struct booking *bookings;
    size_t booking_count;
    struct audit_sums *sums;
    FILE *journal;
    size_t violations;
    struct effect effects[EFFECTS_MAX];
    size_t effect_count;
};

__attribute__((format(printf, 2, 3))) static void violation(struct audit *audit, const char *format,
                                                            ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("VIOLATION ", audit->journal);
    (void)vfprintf(audit->journal, format, arguments);
    (void)fputc('\n', audit->journal);
    va_end(arguments);
    audit->violations++;
}

/* ---------------------------------------------------------------- databases */

static sqlite3 *open_database(struct audit *audit, const char *name) {
    char path[512];
    sqlite3 *database = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.db", audit->dir, name);
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        violation(audit, "%s cannot be opened: %s", path, sqlite3_errmsg(database));
    }
    return database;
}

static sqlite3_stmt *query(struct audit *audit, sqlite3 *database, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK) {
        violation(audit, "%s: %s", sql, sqlite3_errmsg(database));
    }
    return statement;
}

static const char *column(sqlite3_stmt *statement, int number) {
    const char *text = (const char *)sqlite3_column_text(statement, number);
    return text == NULL ? "" : text;
}

/* The integer that a query about one text gives. */
static long long count_of(struct audit *audit, sqlite3 *database, const char *sql,
                          const char *text) {
    sqlite3_stmt *statement = query(audit, database, sql);
    long long count = -1;
    (void)sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        count = sqlite3_column_int64(statement, 0);
    } else {
        violation(audit, "%s: %s", sql, sqlite3_errmsg(database));
    }
    (void)sqlite3_finalize(statement);
    return count;
}

static void read_effects(struct audit *audit, const char *name) {
    sqlite3 *database = open_database(audit, name);
    sqlite3_stmt *statement = query(audit, database, "SELECT command_id, what FROM effects");
    while (sqlite3_step(statement) == SQLITE_ROW && audit->effect_count < EFFECTS_MAX) {
        struct effect *effect = &audit->effects[audit->effect_count++];
        const char *id = column(statement, 0);
        (void)snprintf(effect->what, sizeof effect->what, "%s", column(statement, 1));
        if (sscanf(id, "%36[0-9a-f-]/%31[a-z]/%u/%31[a-z]/%u", effect->saga, effect->step,
                   &effect->incarnation, effect->operation, &effect->revision) != 5) {
            violation(audit, "%s: effect of a command without identity: %s", name, id);
        }
    }
    if (audit->effect_count == EFFECTS_MAX) {
        violation(audit, "%s: more effects than %d", name, EFFECTS_MAX);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
}

/* ------------------------------------------------------------------ effects */

static const struct booking *booking_of(const struct audit *audit, const char *id) {
    for (size_t i = 0; i < audit->booking_count; i++) {
        if (strcmp(audit->bookings[i].id, id) == 0) {
            return &audit->bookings[i];
        }
    }
    return NULL;
}

/* How often this happened for the saga. */
static unsigned times(const struct audit *audit, const struct booking *booking, const char *what) {
    unsigned count = 0;
    for (size_t i = 0; i < audit->effect_count; i++) {
        count += strcmp(audit->effects[i].saga, booking->id) == 0 &&
                 strcmp(audit->effects[i].what, what) == 0;
    }
    return count;
}

/* No business code ran twice for one (saga, step, incarnation, operation), and none for a
 * saga that nobody asked for. */
static void check_effects(struct audit *audit) {
    for (size_t i = 0; i < audit->effect_count; i++) {
        const struct effect *effect = &audit->effects[i];
        if (booking_of(audit, effect->saga) == NULL) {
            violation(audit, "effect %s of saga %s, which no client started", effect->what,
                      effect->saga);
        }
        for (size_t j = 0; j < i; j++) {
            const struct effect *other = &audit->effects[j];
            if (strcmp(effect->saga, other->saga) == 0 && strcmp(effect->step, other->step) == 0 &&
                strcmp(effect->operation, other->operation) == 0 &&
                effect->incarnation == other->incarnation) {
                violation(audit, "saga %s: %s of %s took effect twice: %s, %s", effect->saga,
                          effect->operation, effect->step, other->what, effect->what);
            }
        }
    }
}

static void expect(struct audit *audit, const struct booking *booking, const char *what,
                   unsigned expected) {
    const unsigned count = times(audit, booking, what);
    if (count != expected) {
        violation(audit, "saga %s (%s, %s): %s happened %u times, not %u", booking->id,
                  booking->key, booking->status, what, count, expected);
    }
}

static bool is_completed(const struct booking *booking) {
    return strcmp(booking->status, "completed") == 0;
}

static void check_completed(struct audit *audit, const struct booking *booking) {
    static const char *const done[] = {"BOOKING_CREATED",  "PARKING_AVAILABLE",
                                       "BOOKING_APPROVED", "PAYMENT_SUCCESSFUL",
                                       "PARKING_RESERVED", "BOOKING_PAID"};
    for (size_t i = 0; i < sizeof done / sizeof done[0]; i++) {
        expect(audit, booking, done[i], 1);
    }
    expect(audit, booking, "BOOKING_REJECTED", 0);
    expect(audit, booking, "PARKING_UNBLOCKED", 0);
    expect(audit, booking, "BILL_REFUNDED", 0);
    audit->sums->completed++;
}

/* What was done is undone, once; what was not done is not undone. */
static void check_compensated(struct audit *audit, const struct booking *booking) {
    expect(audit, booking, "BOOKING_CREATED", 1);
    expect(audit, booking, "BOOKING_REJECTED", 1);
    expect(audit, booking, "PARKING_UNBLOCKED", times(audit, booking, "PARKING_AVAILABLE"));
    expect(audit, booking, "BILL_REFUNDED", times(audit, booking, "PAYMENT_SUCCESSFUL"));
    expect(audit, booking, "PARKING_RESERVED", 0);
    expect(audit, booking, "BOOKING_PAID", 0);
}

/* A saga that went back did so for the reason that its kind has, and at that step. */
static void check_reason(struct audit *audit, const struct booking *booking) {
    const bool refused = times(audit, booking, "PARKING_UNAVAILABLE") > 0;
    switch (booking->kind) {
    case BOOKING_HELD:
    case BOOKING_UNKNOWN:
        expect(audit, booking, "PARKING_UNAVAILABLE", 1);
        expect(audit, booking, "BOOKING_APPROVED", 0);
        audit->sums->held += booking->kind == BOOKING_HELD;
        audit->sums->unknown += booking->kind == BOOKING_UNKNOWN;
        return;
    case BOOKING_DECLINED:
        expect(audit, booking, "BILL_FAILED", 1);
        expect(audit, booking, "PAYMENT_SUCCESSFUL", 0);
        audit->sums->declined++;
        return;
    case BOOKING_FREE:
    case BOOKING_SHARED:
        if (booking->kind == BOOKING_FREE || !refused) {
            expect(audit, booking, "PAYMENT_SUCCESSFUL", 1); /* it got as far as the reservation */
        }
        audit->sums->lost_race += refused;
        audit->sums->unreserved += !refused;
        return;
    }
}

static void check_sagas(struct audit *audit) {
    for (size_t i = 0; i < audit->booking_count; i++) {
        const struct booking *booking = &audit->bookings[i];
        const bool may_succeed = booking->kind == BOOKING_FREE || booking->kind == BOOKING_SHARED;
        if (booking->id[0] == '\0') {
            continue; /* never accepted: reported by whoever asked */
        }
        if (is_completed(booking)) {
            check_completed(audit, booking);
        } else if (strcmp(booking->status, "compensated") == 0) {
            check_compensated(audit, booking);
            check_reason(audit, booking);
        } else {
            violation(audit, "saga %s (%s) has not ended: %s", booking->id, booking->key,
                      booking->status);
        }
        if (is_completed(booking) && !may_succeed) {
            violation(audit, "saga %s (%s) must not succeed", booking->id, booking->key);
        }
    }
}

/* ------------------------------------------------------------------- tables */

static void reference_of(const struct booking *booking, char *text, size_t size) {
    (void)snprintf(text, size, "%s:%s", booking->slot, booking->id);
}

/* Each saga has one booking and one bill at most, in the state that fits its end. */
static void check_rows(struct audit *audit) {
    sqlite3 *bookings = open_database(audit, "booking");
    sqlite3 *bills = open_database(audit, "billing");
    long long expected = 0;
    for (size_t i = 0; i < audit->booking_count; i++) {
        const struct booking *booking = &audit->bookings[i];
        char reference[160];
        reference_of(booking, reference, sizeof reference);
        if (booking->id[0] == '\0') {
            continue;
        }
        expected++;
        const char *right =
            is_completed(booking)
                ? "SELECT count(*) FROM bookings WHERE parking_slot_ref_no = ?1 AND "
                  "status = 'paid'"
                : "SELECT count(*) FROM bookings WHERE parking_slot_ref_no = ?1 AND "
                  "status = 'rejected'";
        if (count_of(audit, bookings, right, reference) != 1) {
            violation(audit, "saga %s (%s): its booking does not fit its end", booking->id,
                      booking->status);
        }
        const long long paid = count_of(
            audit, bills,
            "SELECT count(*) FROM billing_requests WHERE reference_no = ?1 AND status = 'paid'",
            reference);
        if (paid != is_completed(booking)) {
            violation(audit, "saga %s (%s): %lld bills are paid", booking->id, booking->status,
                      paid);
        }
    }
    if (count_of(audit, bookings, "SELECT count(*) FROM bookings WHERE ?1 <> ''", "-") !=
        expected) {
        violation(audit, "there are not %lld bookings", expected);
    }
    (void)sqlite3_close(bookings);
    (void)sqlite3_close(bills);
}

/* No slot is blocked any more; each that is reserved is so for a saga that completed. */
static void check_slots(struct audit *audit) {
    sqlite3 *database = open_database(audit, "parking");
    sqlite3_stmt *statement =
        query(audit, database, "SELECT uuid, status, held_by FROM parking_slots");
    unsigned reserved = 0, completed = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *slot = column(statement, 0);
        const char *status = column(statement, 1);
        const char *holder = column(statement, 2);
        if (strcmp(status, "available") == 0) {
            continue;
        }
        const char *saga = strchr(holder, ':');
        const struct booking *booking = saga == NULL ? NULL : booking_of(audit, saga + 1);
        if (strcmp(status, "reserved") != 0 || booking == NULL || !is_completed(booking) ||
            strcmp(booking->slot, slot) != 0) {
            violation(audit, "slot %s is %s by %s, which is %s", slot, status, holder,
                      booking == NULL ? "no saga of ours" : booking->status);
        }
        reserved++;
    }
    for (size_t i = 0; i < audit->booking_count; i++) {
        completed += is_completed(&audit->bookings[i]);
    }
    if (reserved != completed) {
        violation(audit, "%u slots are reserved, for %u sagas that completed", reserved, completed);
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
}

size_t audit_run(const char *dir, const struct booking *bookings, size_t count,
                 struct audit_sums *sums, const char *journal) {
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL || (audit->journal = fopen(journal, "a")) == NULL) {
        free(audit);
        (void)fprintf(stderr, "%s cannot be written\n", journal);
        return 1;
    }
    audit->dir = dir;
    audit->bookings = bookings;
    audit->booking_count = count;
    audit->sums = sums;
    read_effects(audit, "parking");
    read_effects(audit, "booking");
    read_effects(audit, "billing");
    check_effects(audit);
    check_sagas(audit);
    check_rows(audit);
    check_slots(audit);
    const size_t violations = audit->violations;
    (void)fclose(audit->journal);
    free(audit);
    return violations;
}
