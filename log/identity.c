#include "identity.h"

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static void print_uuid(const uint8_t bytes[16], char text[37]) {
    char *at = text;
    for (size_t i = 0; i < 16; i++) {
        static const char digits[] = "0123456789abcdef";
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
        if (i == 3 || i == 5 || i == 7 || i == 9) {
            *at++ = '-';
        }
    }
    *at = '\0';
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The lower-case form, as print_uuid() writes it, and no other. */
static bool parse_uuid(const char *text, uint8_t bytes[16]) {
    if (strlen(text) != 36) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        int high = digit_of(*text++);
        int low = high < 0 ? -1 : digit_of(*text++);
        if (low < 0) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
        if ((i == 3 || i == 5 || i == 7 || i == 9) && *text++ != '-') {
            return false;
        }
    }
    return true;
}

/* "2026-01-01T12:00:00Z", with whatever digits. */
static bool is_date(const char *text) {
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    if (strlen(text) != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof form - 1; i++) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !digit : text[i] != form[i]) {
            return false;
        }
    }
    return true;
}

bool saga_identity_parse(struct saga_identity *identity, const char *text, const char *created) {
    if (!parse_uuid(text, identity->bytes) || !is_date(created)) {
        return false;
    }
    print_uuid(identity->bytes, identity->text);
    memcpy(identity->created, created, sizeof identity->created);
    return true;
}

static int print_file(char text[SAGA_IDENTITY_BYTES_MAX], unsigned format, const char *id,
                      const char *created) {
    return snprintf(text, SAGA_IDENTITY_BYTES_MAX, "sagad-log format %u\nid %s\ncreated %s\n",
                    format, id, created);
}

enum saga_error saga_identity_make(struct saga_identity *identity, struct saga_fault *fault) {
    if (getrandom(identity->bytes, sizeof identity->bytes, 0) != sizeof identity->bytes) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "no random numbers for a new log: %s",
                              strerror(errno));
    }
    identity->bytes[6] = (uint8_t)((identity->bytes[6] & 0x0f) | 0x40); /* UUID version 4 */
    identity->bytes[8] = (uint8_t)((identity->bytes[8] & 0x3f) | 0x80);
    print_uuid(identity->bytes, identity->text);
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL ||
        strftime(identity->created, sizeof identity->created, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the system's clock cannot be read as a date: set it");
    }
    return SAGA_OK;
}

enum saga_error saga_identity_write(const struct saga_identity *identity, int directory_fd,
                                    struct saga_fault *fault) {
    char text[SAGA_IDENTITY_BYTES_MAX];
    int length = print_file(text, SAGA_RECORD_FORMAT, identity->text, identity->created);
    int fd = openat(directory_fd, SAGA_IDENTITY_FILE,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    bool written = fd >= 0 && write(fd, text, (size_t)length) == length;
    int number = errno;
    if (fd >= 0 && close(fd) != 0 && written) {
        written = false;
        number = errno;
    }
    if (!written) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED,
                              "the log's identity, %s, was not written: %s", SAGA_IDENTITY_FILE,
                              strerror(number));
    }
    return SAGA_OK;
}

/* Takes a line "<name><value>" off the text. */
static bool take_line(const char **at, const char *name, char *value, size_t room) {
    size_t length = strlen(name);
    if (strncmp(*at, name, length) != 0) {
        return false;
    }
    const char *begin = *at + length;
    const char *end = strchr(begin, '\n');
    if (end == NULL || (size_t)(end - begin) >= room) {
        return false;
    }
    memcpy(value, begin, (size_t)(end - begin));
    value[end - begin] = '\0';
    *at = end + 1;
    return true;
}

ssize_t saga_identity_copy(int directory_fd, char *text, size_t room) {
    int fd = openat(directory_fd, SAGA_IDENTITY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -1;
    }
    ssize_t length = read(fd, text, room);
    int number = errno;
    (void)close(fd); /* it was only read */
    errno = number;
    return length;
}

enum saga_error saga_identity_read(struct saga_identity *identity, int directory_fd,
                                   const char *path, struct saga_fault *fault) {
    char text[SAGA_IDENTITY_BYTES_MAX + 1];
    ssize_t length = saga_identity_copy(directory_fd, text, SAGA_IDENTITY_BYTES_MAX);
    if (length < 0 && errno == ENOENT) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s has no " SAGA_IDENTITY_FILE
                              ": it is not a whole log. Restore the directory from a backup, or "
                              "move it away to start an empty log.",
                              path);
    }
    if (length < 0) {
        return saga_fault_set(fault, SAGA_ERROR_FAILED, "%.300s/" SAGA_IDENTITY_FILE ": %s", path,
                              strerror(errno));
    }
    text[length] = '\0';
    const char *at = text;
    char number[10] = "";
    char id[40] = "";
    bool whole = take_line(&at, "sagad-log format ", number, sizeof number);
    unsigned format = (unsigned)strtoul(number, NULL, 10);
    if (format > SAGA_RECORD_FORMAT) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s is of format %u, and this sagad knows formats up to %d: use "
                              "the newer version that wrote it.",
                              path, format, SAGA_RECORD_FORMAT);
    }
    whole = whole && take_line(&at, "id ", id, sizeof id) &&
            take_line(&at, "created ", identity->created, sizeof identity->created);
    char again[SAGA_IDENTITY_BYTES_MAX];
    if (!whole || format == 0 || !parse_uuid(id, identity->bytes) ||
        print_file(again, format, id, identity->created) != length ||
        memcmp(again, text, (size_t)length) != 0) {
        return saga_fault_set(fault, SAGA_ERROR_LOG_REFUSED,
                              "%.300s/" SAGA_IDENTITY_FILE
                              " is damaged: it should have three lines, with format, id and date. "
                              "Restore it from a backup.",
                              path);
    }
    print_uuid(identity->bytes, identity->text);
    return SAGA_OK;
}
