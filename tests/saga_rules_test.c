/* The rules of docs/semantics.md, each by its name. The expected lines are
 * written from that page, not from what the core does. */
#include "check_run.h"
#include "saga_rules.h"

#include <string.h>

void saga_rules_assert_said(int line, const char *happens, const char *said, const char *expected) {
    ck_assert_msg(strcmp(said, expected) == 0, "line %d: %s\n  expected: %s\n  but:      %s", line,
                  happens, expected, said);
}

int main(void) {
    Suite *suite = suite_create("saga_rules");
    saga_rules_add_forward(suite);
    saga_rules_add_backward(suite);
    saga_rules_add_pivot(suite);
    saga_rules_add_replies(suite);
    saga_rules_add_operator(suite);
    return check_run(suite);
}
