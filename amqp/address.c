#include "address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PORT     5672
#define PORT_TLS 5671

/* A part of the URL that is being read. */
struct span {
    const char *from, *to;
};

/* What is wrong with the URL, and where. No fault quotes it: where a '@' is forgotten or not
 * encoded, what looks like a host or a port is the password. */
static enum saga_error wrong(struct saga_fault *fault, const char *url, const char *at,
                             const char *what) {
    return saga_fault_set(fault, SAGA_ERROR_INVALID,
                          "the broker's URL, at character %zu: %s; it is written "
                          "amqp[s]://USER:PASSWORD@HOST:PORT/VHOST",
                          (size_t)(at - url) + 1, what);
}

static const char *find(struct span span, char wanted) {
    const char *found = memchr(span.from, wanted, (size_t)(span.to - span.from));
    return found == NULL ? span.to : found;
}

static bool is_control(unsigned char byte) {
    return byte < ' ' || byte == 0x7f;
}

/* ------------------------------------------------------------------- words */

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    const char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes a user, password, or vhost into a buffer of SAGA_AMQP_WORD_BYTES_MAX + 1. */
static enum saga_error read_word(char *word, const char *url, struct span span,
                                 struct saga_fault *fault) {
    size_t size = 0;
    for (const char *at = span.from; at < span.to; at++) {
        int byte = (unsigned char)*at;
        const char *start = at;
        if (byte == '%') {
            const int high = span.to - at > 2 ? hex(at[1]) : -1;
            const int low = high < 0 ? -1 : hex(at[2]);
            if (low < 0) {
                return wrong(fault, url, at,
                             "after '%' come two hexadecimal digits ('%25' is '%')");
            }
            byte = high * 16 + low;
            at += 2;
        }
        if (is_control((unsigned char)byte)) {
            return wrong(fault, url, start, "a control character");
        }
        if (size == SAGA_AMQP_WORD_BYTES_MAX) {
            return wrong(fault, url, start, "a user, password or vhost of more than 255 bytes");
        }
        word[size++] = (char)byte;
    }
    word[size] = '\0';
    return SAGA_OK;
}

/* USER[:PASSWORD] */
static enum saga_error read_login(struct saga_amqp_address *address, const char *url,
                                  struct span span, struct saga_fault *fault) {
    const char *colon = find(span, ':');
    for (const char *at = span.from; at < span.to; at++) {
        if (strchr("/?#", *at) != NULL) {
            return wrong(fault, url, at,
                         "in a user or password '/' is written %2f, '?' %3f, '#' %23, and in a "
                         "vhost '@' %40");
        }
    }
    if (colon == span.from) {
        return wrong(fault, url, colon, "there is no user before '@'");
    }
    enum saga_error error = read_word(address->user, url, (struct span){span.from, colon}, fault);
    if (error == SAGA_OK && colon < span.to) {
        error = read_word(address->password, url, (struct span){colon + 1, span.to}, fault);
    }
    return error;
}

/* ------------------------------------------------------------------- hosts */

static bool is_host_character(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '.' || byte == '_';
}

static enum saga_error read_port(uint16_t *port, const char *url, struct span span,
                                 struct saga_fault *fault) {
    unsigned value = 0;
    for (const char *at = span.from; at < span.to; at++) {
        value = *at >= '0' && *at <= '9' ? value * 10 + (unsigned)(*at - '0') : UINT16_MAX + 1;
        if (value > UINT16_MAX) {
            break;
        }
    }
    if (value == 0 || value > UINT16_MAX) {
        return wrong(fault, url, span.from,
                     "after a host's ':' comes a port between 1 and 65535 (an IPv6 address stands "
                     "in brackets)");
    }
    *port = (uint16_t)value;
    return SAGA_OK;
}

/* The host's name, without brackets; `*rest` is what follows it. */
static enum saga_error read_name(char *name, const char *url, struct span span, const char **rest,
                                 struct saga_fault *fault) {
    const bool bracketed = span.from < span.to && *span.from == '[';
    const char *start = span.from + bracketed;
    const char *end = find((struct span){start, span.to}, bracketed ? ']' : ':');
    const size_t size = (size_t)(end - start);
    if (size == 0) {
        return wrong(fault, url, span.from, "a host is missing");
    }
    if (size > SAGA_AMQP_HOST_BYTES_MAX) {
        return wrong(fault, url, span.from, "a host's name of more than 255 bytes");
    }
    (void)memcpy(name, start, size);
    name[size] = '\0';
    struct in6_addr ignored;
    if (bracketed && (end == span.to || inet_pton(AF_INET6, name, &ignored) != 1)) {
        return wrong(fault, url, span.from, "in brackets stands an IPv6 address, as in [::1]");
    }
    for (const char *at = start; at < end && !bracketed; at++) {
        if (!is_host_character(*at)) {
            return wrong(fault, url, at,
                         "a host's name has letters, digits, '-', '.' and '_' (and nothing "
                         "follows the vhost)");
        }
    }
    *rest = end + bracketed;
    return SAGA_OK;
}

/* HOST[:PORT] */
static enum saga_error read_host(struct saga_amqp_address *address, const char *url,
                                 struct span span, struct saga_fault *fault) {
    if (address->host_count == SAGA_AMQP_HOSTS_MAX) {
        return wrong(fault, url, span.from, "more than 16 hosts");
    }
    struct saga_amqp_host *host = &address->hosts[address->host_count];
    const char *rest = span.to;
    enum saga_error error = read_name(host->name, url, span, &rest, fault);
    if (error != SAGA_OK) {
        return error;
    }
    host->port = address->tls ? PORT_TLS : PORT;
    if (rest < span.to) {
        error = *rest == ':' ? read_port(&host->port, url, (struct span){rest + 1, span.to}, fault)
                             : wrong(fault, url, rest, "after ']' comes ':', ',' or '/'");
    }
    if (error == SAGA_OK) {
        address->host_count++;
    }
    return error;
}

/* HOST[:PORT][,HOST[:PORT]...] */
static enum saga_error read_hosts(struct saga_amqp_address *address, const char *url,
                                  struct span span, struct saga_fault *fault) {
    for (;;) {
        const char *comma = find(span, ',');
        const enum saga_error error =
            read_host(address, url, (struct span){span.from, comma}, fault);
        if (error != SAGA_OK || comma == span.to) {
            return error;
        }
        span.from = comma + 1;
    }
}

/* --------------------------------------------------------------------- URL */

/* HOSTS[/VHOST]. Nothing after the slash is "/" as well: no broker has a vhost "". */
static enum saga_error read_place(struct saga_amqp_address *address, const char *url,
                                  struct span span, struct saga_fault *fault) {
    const char *slash = find(span, '/');
    enum saga_error error = read_hosts(address, url, (struct span){span.from, slash}, fault);
    if (error != SAGA_OK || span.to - slash < 2) {
        return error;
    }
    const struct span vhost = {slash + 1, span.to};
    for (const char *at = vhost.from; at < vhost.to; at++) {
        if (*at == '?' || *at == '#') {
            return wrong(fault, url, at,
                         "no parameters are taken here (in a vhost '?' is written %3f, '#' %23)");
        }
    }
    return read_word(address->vhost, url, vhost, fault);
}

/* Everything before the URL's only '@' is the login, everything after it is the place. */
static enum saga_error read_rest(struct saga_amqp_address *address, const char *url,
                                 struct span span, struct saga_fault *fault) {
    for (const char *at = span.from; at < span.to; at++) {
        if (is_control((unsigned char)*at) || *at == ' ') {
            return wrong(fault, url, at, "a blank or control character");
        }
    }
    const char *at_sign = find(span, '@');
    if (at_sign == span.to) {
        return read_place(address, url, span, fault);
    }
    const struct span place = {at_sign + 1, span.to};
    if (find(place, '@') < place.to) {
        return wrong(fault, url, find(place, '@'),
                     "a second '@': in a user, password or vhost it is written %40");
    }
    const enum saga_error error =
        read_login(address, url, (struct span){span.from, at_sign}, fault);
    return error == SAGA_OK ? read_place(address, url, place, fault) : error;
}

enum saga_error saga_amqp_address_parse(struct saga_amqp_address *address, const char *url,
                                        struct saga_fault *fault) {
    static const char plain[] = "amqp://", tls[] = "amqps://";
    struct saga_amqp_address parsed = {.user = "guest", .password = "guest", .vhost = "/"};
    parsed.tls = strncasecmp(url, tls, strlen(tls)) == 0;
    if (!parsed.tls && strncasecmp(url, plain, strlen(plain)) != 0) {
        return wrong(fault, url, url, "it does not begin with amqp:// or amqps://");
    }
    const struct span rest = {url + strlen(parsed.tls ? tls : plain), url + strlen(url)};
    const enum saga_error error = read_rest(&parsed, url, rest, fault);
    if (error == SAGA_OK) {
        *address = parsed;
    }
    explicit_bzero(&parsed, sizeof parsed);
    return error;
}

/* ---------------------------------------------------------------- password */

/* Reads until `size` bytes are there, or the first line is, or the file ends. -1: errno. */
static ssize_t read_line(int fd, char *line, size_t size) {
    size_t filled = 0;
    while (filled < size && memchr(line, '\n', filled) == NULL) {
        const ssize_t count = read(fd, line + filled, size - filled);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -1;
        }
        if (count == 0) {
            break;
        }
        filled += (size_t)count;
    }
    return (ssize_t)filled;
}

/* The password in the first `size` bytes of a file. */
static enum saga_error take_password(char *password, const char *bytes, size_t size,
                                     const char *path, struct saga_fault *fault) {
    const char *newline = memchr(bytes, '\n', size);
    size = newline == NULL ? size : (size_t)(newline - bytes);
    size -= size > 0 && bytes[size - 1] == '\r';
    if (size == 0) {
        return saga_fault_set(fault, SAGA_ERROR_INVALID,
                              "%.300s: the first line, which is the password, is empty", path);
    }
    if (size > SAGA_AMQP_WORD_BYTES_MAX) {
        return saga_fault_set(
            fault, SAGA_ERROR_INVALID,
            "%.300s: the first line, which is the password, has more than %d bytes", path,
            SAGA_AMQP_WORD_BYTES_MAX);
    }
    for (size_t i = 0; i < size; i++) {
        if (is_control((unsigned char)bytes[i])) {
            return saga_fault_set(
                fault, SAGA_ERROR_INVALID,
                "%.300s: the first line, which is the password, has a control character", path);
        }
    }
    (void)memcpy(password, bytes, size);
    password[size] = '\0';
    return SAGA_OK;
}

enum saga_error saga_amqp_address_read_password(struct saga_amqp_address *address, const char *path,
                                                struct saga_fault *fault) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return saga_fault_set(fault, errno == ENOENT ? SAGA_ERROR_NOT_FOUND : SAGA_ERROR_FAILED,
                              "the password file %.300s: %s", path, strerror(errno));
    }
    char bytes[SAGA_AMQP_WORD_BYTES_MAX + 3] = {0}; /* with its CRLF, or one too many */
    const ssize_t size = read_line(fd, bytes, sizeof bytes);
    const enum saga_error error =
        size < 0 ? saga_fault_set(fault, SAGA_ERROR_FAILED, "the password file %.300s: %s", path,
                                  strerror(errno))
                 : take_password(address->password, bytes, (size_t)size, path, fault);
    explicit_bzero(bytes, sizeof bytes);
    (void)close(fd);
    return error;
}

/* -------------------------------------------------------------------- text */

struct text {
    char *next;
    size_t room; /* with the NUL */
};

static void put_byte(struct text *text, char byte) {
    if (text->room > 1) {
        *text->next++ = byte;
        text->room--;
    }
}

static void put(struct text *text, const char *part) {
    for (; *part != '\0'; part++) {
        put_byte(text, *part);
    }
}

/* Percent-encoded, so that it is fit for a terminal and a log, whatever it is. */
static void put_word(struct text *text, const char *word) {
    static const char digits[] = "0123456789abcdef";
    for (; *word != '\0'; word++) {
        const unsigned char byte = (unsigned char)*word;
        if (is_host_character(*word) || *word == '~') {
            put_byte(text, *word);
        } else {
            const char encoded[] = {'%', digits[byte >> 4], digits[byte & 15], '\0'};
            put(text, encoded);
        }
    }
}

void saga_amqp_address_text(const struct saga_amqp_address *address, char *text, size_t size) {
    assert(size > 0);
    struct text out = {text, size};
    put(&out, address->tls ? "amqps://" : "amqp://");
    put_word(&out, address->user);
    for (size_t i = 0; i < address->host_count; i++) {
        const struct saga_amqp_host *host = &address->hosts[i];
        const bool bracketed = strchr(host->name, ':') != NULL;
        char port[8];
        (void)snprintf(port, sizeof port, ":%u", host->port);
        put(&out, i == 0 ? "@" : ",");
        put(&out, bracketed ? "[" : "");
        put(&out, host->name);
        put(&out, bracketed ? "]" : "");
        put(&out, port);
    }
    put(&out, "/");
    if (strcmp(address->vhost, "/") != 0) {
        put_word(&out, address->vhost);
    }
    *out.next = '\0';
}
