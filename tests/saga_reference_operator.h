/* Inside the reference: what operators' verbs do to a saga, by hand. */
#ifndef SAGA_REFERENCE_OPERATOR_H
#define SAGA_REFERENCE_OPERATOR_H

#include "saga_reference.h"

/* The reason of the row that fits; NULL: the record has no place here. */
const char *saga_reference_cancel(struct saga *saga, const struct saga_plan *plan,
                                  const struct saga_record *record);
const char *saga_reference_operator(struct saga *saga, const struct saga_plan *plan,
                                    const struct saga_record *record);

void saga_reference_unpark(struct saga *saga);
/* One attempt more of the same command, with a fresh budget. */
void saga_reference_ask_again(struct saga_step *step);

#endif
