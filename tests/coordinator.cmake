saga_test(timers_test LINKS saga_core)
saga_test(coordinator_test LINKS saga_core)
