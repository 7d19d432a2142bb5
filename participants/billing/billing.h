/*
 * The billing service: bills that are paid, or refunded.
 *
 *   billing.authorize_payment, also pay.bill
 *                     makes a paid bill of the reference       PAYMENT_SUCCESSFUL
 *                     over --limit, no usable total or
 *                     reference, or one is paid already        BILL_FAILED (rejected)
 *   billing.refund    (compensation) paid -> refunded; none is paid: nothing
 *                                                              BILL_REFUNDED
 *                     no usable reference                      BILL_REFUND_FAILED (rejected)
 *
 * The reference is the body's `parking_slot_ref_no`; the total its `total`, in the
 * smallest unit of the currency, 10000 where it is missing. A declined bill leaves
 * no bill: a rejection has no effect.
 *
 * Threads: as the participant.
 */
#ifndef SAGA_BILLING_H
#define SAGA_BILLING_H

struct saga_service;

/* The total of a booking that does not say: 100.00. */
#define SAGA_BILLING_TOTAL_DEFAULT 10000

/* billing_requests(id, total, status, reference_no), effects. */
const struct saga_service *saga_billing_service(void);

#endif
