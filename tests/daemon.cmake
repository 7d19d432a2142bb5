# The daemon, and what it is made of.
saga_test(local_test LINKS saga_local saga_engine saga_failpoint_none saga_participant_fixture
    Threads::Threads)
saga_test(loop_test SOURCES loop_test.c scratch.c LINKS saga_loop saga_local saga_engine
    saga_failpoint_none Threads::Threads)
saga_test(journal_test LINKS saga_journal PkgConfig::JANSSON)
saga_test(config_test SOURCES config_test.c scratch.c LINKS saga_config)
target_compile_definitions(config_test PRIVATE
    SAGA_EXAMPLE="${PROJECT_SOURCE_DIR}/examples/booking/booking.yaml")
saga_test(verifier_test SOURCES verifier_test.c trip_load.c trip_fixture.c
    LINKS saga_verifier saga_engine_fixture Threads::Threads)
