/*
 * New ids: UUIDv7 (RFC 9562), in lower case, from the wall clock and the kernel's
 * random numbers. So ids sort by the time at which they were made.
 *
 * Threads: no state.
 */
#ifndef SAGA_UUID_H
#define SAGA_UUID_H

/* Ends the process if the kernel gives no random numbers: it always can. */
void saga_uuid_make(char text[37]);

#endif
