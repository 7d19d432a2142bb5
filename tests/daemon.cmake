# The daemon, and what it is made of.
saga_test(local_test LINKS saga_local saga_engine saga_failpoint_none saga_participant_fixture
    Threads::Threads)
