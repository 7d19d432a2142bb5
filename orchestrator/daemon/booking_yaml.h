/* examples/booking/booking.yaml, put into the program by CMakeLists.txt. */
#ifndef SAGA_BOOKING_YAML_H
#define SAGA_BOOKING_YAML_H

#include <stddef.h>

extern const char saga_booking_yaml[];
extern const size_t saga_booking_yaml_size;

#endif
