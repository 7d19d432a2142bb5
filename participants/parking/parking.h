/*
 * The parking service: slots that are available, blocked for a booking, or
 * reserved by it.
 *
 *   parking.block     available -> blocked by this reference  PARKING_AVAILABLE
 *                     otherwise, also for an unknown slot     PARKING_UNAVAILABLE (rejected)
 *   parking.reserve   blocked by this reference -> reserved   PARKING_RESERVED
 *                     otherwise                               PARKING_RESERVATION_FAILED (rejected)
 *   parking.unblock   (compensation) blocked by this reference -> available
 *                     held by nobody, or by another: nothing  PARKING_UNBLOCKED
 *                     reserved by this reference already      PARKING_UNBLOCK_FAILED (rejected)
 *
 * The reference is the body's `parking_slot_ref_no`, "<slot>:<booking>". The slot
 * remembers which one holds it, so no command frees what another booking holds.
 *
 * Threads: as the participant.
 */
#ifndef SAGA_PARKING_H
#define SAGA_PARKING_H

#include "participant.h"

#define SAGA_PARKING_NAME_BYTES_MAX 200

/* parking_slots(uuid, name, status, held_by), effects. */
const struct saga_service *saga_parking_service(void);

/* Adds an available slot. `uuid` is the new slot's: given by the caller, or "" to
 * have one made (UUIDv7). INVALID if the name is empty, too long, or not UTF-8;
 * CONFLICT if the uuid is taken. */
SAGA_CHECKED enum saga_error saga_parking_slot_create(struct saga_participant *participant,
                                                      const char *name, char uuid[37],
                                                      struct saga_fault *fault);

#endif
