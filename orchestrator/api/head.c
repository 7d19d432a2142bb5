#include "head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ----------------------------------------------------------------- gathering */

static void set_once(struct saga_head *head, const char **field, const char *name,
                     const char *value) {
    if (*field != NULL) {
        head->twice = name;
    }
    *field = value;
}

/* Nothing but digits: what others may read otherwise is not read at all. */
static void read_length(struct saga_head *head, const char *value) {
    char *end;
    errno = 0;
    head->length = strtoull(value, &end, 10);
    if (errno != 0 || *value < '0' || *value > '9' || *end != '\0') {
        head->odd = "Content-Length is no number";
    }
}

void saga_head_add_header(struct saga_head *head, const char *name, const char *value) {
    struct {
        const char *name;
        const char **field;
    } const known[] = {
        {"Host", &head->host},
        {"Origin", &head->origin},
        {"Sec-Fetch-Site", &head->fetch_site},
        {"Content-Type", &head->content_type},
        {"Idempotency-Key", &head->key},
        {"Saga-Operator", &head->who},
    };
    value = value != NULL ? value : "";
    if (strpbrk(name, " \t") != NULL || *name == '\0') { /* "Content-Length : 2" to others */
        head->odd = "a header's name has a space in it";
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(name, known[i].name) == 0) {
            set_once(head, known[i].field, known[i].name, value);
            return;
        }
    }
    if (strcasecmp(name, "Content-Length") == 0) {
        head->twice = head->has_length ? "Content-Length" : head->twice;
        head->has_length = true;
        read_length(head, value);
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        head->twice = head->chunked ? "Transfer-Encoding" : head->twice;
        head->chunked = true;
    } else if (strcasecmp(name, "Expect") == 0) {
        head->expects = true;
    }
}

void saga_head_add_query(struct saga_head *head, const char *name, const char *value) {
    if (head->query_count < SAGA_QUERY_MAX) {
        head->query[head->query_count] = (struct saga_query){name, value};
    }
    head->query_count++;
}

const char *saga_head_query(const struct saga_head *head, const char *name) {
    for (size_t i = 0; i < head->query_count && i < SAGA_QUERY_MAX; i++) {
        if (strcmp(head->query[i].name, name) == 0) {
            return head->query[i].value != NULL ? head->query[i].value : "";
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------- checking */

static bool check_uri(const struct saga_head *head, struct saga_response *response) {
    const size_t size = strlen(head->uri);
    if (size > SAGA_URI_BYTES_MAX) {
        saga_response_problem(response, SAGA_PROBLEM_URI_TOO_LONG, NULL,
                              "an address has at most %d bytes", SAGA_URI_BYTES_MAX);
        return false;
    }
    for (const unsigned char *c = (const unsigned char *)head->uri; *c != '\0'; c++) {
        if (*c <= 0x20 || *c >= 0x7f || (c[0] == '%' && c[1] == '0' && c[2] == '0')) {
            saga_response_problem(response, SAGA_PROBLEM_MALFORMED, NULL,
                                  "the address has a character at byte %zu that must be escaped, "
                                  "or that there is none of",
                                  (size_t)(c - (const unsigned char *)head->uri) + 1);
            return false;
        }
    }
    return true;
}

/* Where the body ends must be beyond doubt, or the next request on this
 * connection is not what its sender thinks it is. */
static bool check_framing(const struct saga_head *head, struct saga_response *response) {
    if (head->twice != NULL) {
        saga_response_problem(response, SAGA_PROBLEM_MALFORMED, NULL,
                              "the header %s may be there only once", head->twice);
        return false;
    }
    if (head->odd != NULL) {
        saga_response_problem(response, SAGA_PROBLEM_MALFORMED, NULL, "%s", head->odd);
        return false;
    }
    if (head->has_length && head->chunked) {
        saga_response_problem(response, SAGA_PROBLEM_MALFORMED, NULL,
                              "a request has a Content-Length or a Transfer-Encoding, not both");
        return false;
    }
    return true;
}

static bool same_site(const struct saga_head *head, const struct saga_listener *listener) {
    if (head->fetch_site != NULL && strcasecmp(head->fetch_site, "same-origin") != 0 &&
        strcasecmp(head->fetch_site, "none") != 0) {
        return false;
    }
    /* Nobody's page comes from a unix socket. */
    return head->origin == NULL || (listener->tcp && strncmp(head->origin, "http://", 7) == 0 &&
                                    saga_listener_is_named(listener, head->origin + 7));
}

/* A name that another site's owner points at this machine must not get an
 * answer (DNS rebinding), and neither must another site's page. */
static bool check_sender(const struct saga_head *head, const struct saga_listener *listener,
                         struct saga_response *response) {
    if (listener->tcp && (head->host == NULL || !saga_listener_is_named(listener, head->host))) {
        saga_response_problem(response, SAGA_PROBLEM_MISDIRECTED, NULL,
                              "the Host header must be localhost:%u, 127.0.0.1:%u or [::1]:%u",
                              listener->port, listener->port, listener->port);
        return false;
    }
    if (!same_site(head, listener)) {
        saga_response_problem(response, SAGA_PROBLEM_FOREIGN, NULL,
                              "requests from another site's page are not taken");
        return false;
    }
    return true;
}

static bool is_json(const char *content_type) {
    static const char json[] = "application/json";
    if (content_type == NULL || strncasecmp(content_type, json, sizeof json - 1) != 0) {
        return false;
    }
    const char *rest = content_type + sizeof json - 1;
    rest += strspn(rest, " \t");
    return *rest == '\0' || *rest == ';';
}

static bool check_body(const struct saga_head *head, struct saga_response *response) {
    const bool post = strcmp(head->method, "POST") == 0;
    if (!post && (head->length != 0 || head->chunked)) {
        saga_response_problem(response, SAGA_PROBLEM_MALFORMED, NULL, "%.16s has no body",
                              head->method);
        return false;
    }
    if (head->length > SAGA_BODY_BYTES_MAX) {
        saga_response_problem(response, SAGA_PROBLEM_TOO_LARGE, NULL, "a body has at most %u bytes",
                              SAGA_BODY_BYTES_MAX);
        return false;
    }
    if (post && !is_json(head->content_type)) {
        saga_response_problem(response, SAGA_PROBLEM_MEDIA_TYPE, NULL,
                              "a POST needs the header Content-Type: application/json");
        return false;
    }
    return true;
}

bool saga_head_check(const struct saga_head *head, const struct saga_listener *listener,
                     struct saga_response *response) {
    if (!check_framing(head, response) || !check_uri(head, response)) {
        response->close = true;
        return false;
    }
    return check_sender(head, listener, response) && check_body(head, response);
}
