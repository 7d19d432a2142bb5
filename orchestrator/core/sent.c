#include "sent.h"

bool saga_sent_may_have(const struct saga_sent *sent, const struct saga_step *step) {
    return sent->operation == step->operation && sent->revision == step->revision &&
           sent->attempt == (uint16_t)step->attempt &&
           sent->incarnation == (uint8_t)step->incarnation;
}

bool saga_sent_has(const struct saga_sent *sent, const struct saga_step *step) {
    return saga_sent_may_have(sent, step) && sent->at_ms != SAGA_SENT_BEFORE;
}

void saga_sent_note(struct saga_sent *sent, const struct saga_step *step,
                    const struct saga_outstanding *command, int64_t now_ms) {
    *sent = (struct saga_sent){.at_ms = now_ms,
                               .attempt = (uint16_t)command->attempt,
                               .revision = command->id.revision,
                               .operation = command->id.operation,
                               .incarnation = (uint8_t)command->id.incarnation,
                               .again = saga_sent_may_have(sent, step)};
}

void saga_sent_doubt(struct saga_sent *sent, const struct saga_step *step) {
    if ((step->flags & SAGA_STEP_OPEN) != 0) {
        *sent = (struct saga_sent){.at_ms = SAGA_SENT_BEFORE,
                                   .attempt = (uint16_t)step->attempt,
                                   .revision = step->revision,
                                   .operation = step->operation,
                                   .incarnation = (uint8_t)step->incarnation};
    }
}

bool saga_sent_refuse_again(struct saga_sent *sent, const struct saga_event *event) {
    const bool is_again = sent->again && sent->operation == event->operation &&
                          sent->revision == event->revision &&
                          sent->attempt == (uint16_t)event->attempt &&
                          sent->incarnation == (uint8_t)event->incarnation;
    sent->refused = sent->refused || is_again;
    return is_again;
}

bool saga_sent_is_repeated(const struct saga_sent *sent, const struct saga_outstanding *command) {
    return command->in_progress || sent->refused;
}

int64_t saga_sent_patience(const struct saga_sent *sent, const struct saga_outstanding *command) {
    return sent->at_ms + (command->in_progress ? command->poll_ms : command->timeout_ms);
}
