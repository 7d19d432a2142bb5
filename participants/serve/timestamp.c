#include "timestamp.h"

#include <stddef.h>

#define FRACTION_DIGITS_MAX 9

/* Reads exactly `count` digits. */
static bool digits(const char **at, size_t count, int *number) {
    *number = 0;
    for (size_t i = 0; i < count; i++, ++*at) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *number = *number * 10 + (**at - '0');
    }
    return true;
}

static bool sign(const char **at, char wanted) {
    if (**at != wanted) {
        return false;
    }
    ++*at;
    return true;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01 to the first day of this month. */
static int64_t days_before(int year, int month) {
    const int past = year - 1;
    int64_t days = (int64_t)past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    for (int m = 1; m < month; m++) {
        days += days_of(year, m);
    }
    return days;
}

static bool parse_date(const char **at, int64_t *days) {
    int year;
    int month;
    int day;
    if (!digits(at, 4, &year) || !sign(at, '-') || !digits(at, 2, &month) || !sign(at, '-') ||
        !digits(at, 2, &day) || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > days_of(year, month)) {
        return false;
    }
    *days = days_before(year, month) + day - 1;
    return true;
}

/* ".125": at least one digit after the point. */
static bool parse_fraction(const char **at, int64_t *ms) {
    *ms = 0;
    if (!sign(at, '.')) {
        return true;
    }
    int64_t worth = 100;
    size_t count = 0;
    for (; **at >= '0' && **at <= '9'; ++*at, count++, worth /= 10) {
        *ms += (**at - '0') * worth;
    }
    return count >= 1 && count <= FRACTION_DIGITS_MAX;
}

static bool parse_time(const char **at, int64_t *ms) {
    int hour;
    int minute;
    int second;
    int64_t fraction_ms;
    if (!digits(at, 2, &hour) || !sign(at, ':') || !digits(at, 2, &minute) || !sign(at, ':') ||
        !digits(at, 2, &second) || !parse_fraction(at, &fraction_ms) || hour > 23 || minute > 59 ||
        second > 59) {
        return false;
    }
    *ms = ((int64_t)hour * 3600 + (int64_t)minute * 60 + second) * 1000 + fraction_ms;
    return true;
}

bool saga_timestamp_parse(const char *text, int64_t *ms) {
    int64_t days;
    int64_t time_ms;
    if (!parse_date(&text, &days) || !sign(&text, 'T') || !parse_time(&text, &time_ms) ||
        !sign(&text, 'Z') || *text != '\0') {
        return false;
    }
    *ms = days * 86400000 + time_ms;
    return true;
}
