/*
 * The booking service: a booking is pending, approved, paid, or rejected.
 *
 *   booking.create    makes a pending booking; its uuid is the saga's id, its
 *                     reference "<slot>:<uuid>"                BOOKING_CREATED
 *                     no usable slot, or a booking is there    BOOKING_INVALID (rejected)
 *   booking.approve   pending -> approved                      BOOKING_APPROVED
 *                     otherwise                                BOOKING_APPROVAL_FAILED (rejected)
 *   booking.pay       approved -> paid                         BOOKING_PAID
 *                     otherwise                                BOOKING_PAYMENT_FAILED (rejected)
 *   booking.reject    (compensation of create) pending or approved -> rejected
 *                                                              BOOKING_REJECTED
 *                     paid already                             BOOKING_REJECTION_FAILED (rejected)
 *
 * create, approve and pay answer with the booking as content: {"id", "status",
 * "parking_slot_ref_no"}. Each finds the booking by the saga it acts for, reject by
 * the row of the create that it undoes: an edited body leads to no other's booking.
 *
 * Threads: as the participant.
 */
#ifndef SAGA_BOOKING_H
#define SAGA_BOOKING_H

struct saga_service;

/* bookings(id, status, parking_slot_ref_no, uuid), effects. */
const struct saga_service *saga_booking_service(void);

#endif
