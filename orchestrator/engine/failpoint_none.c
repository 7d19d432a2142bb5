#include "failpoint.h"

void saga_failpoint(enum saga_failpoint_kind kind, enum saga_failpoint_place place) {
    (void)kind;
    (void)place;
}
