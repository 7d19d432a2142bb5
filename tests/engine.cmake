# The engine and recovery.
saga_test(ids_test LINKS saga_engine saga_failpoint_none)
saga_test(catalog_test LINKS saga_engine saga_failpoint_none)
saga_test(recovery_test LINKS saga_engine saga_failpoint_none)
saga_test(engine_test LINKS saga_engine saga_failpoint_none)
