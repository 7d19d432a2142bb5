/*
 * A service made for tests: one function for each thing that business code can
 * do. Its table `takings` shows what took effect.
 */
#ifndef SHOP_SERVICE_H
#define SHOP_SERVICE_H

#include "service.h"

extern const struct saga_service shop_service;

#endif
