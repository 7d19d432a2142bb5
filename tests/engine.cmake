# The engine and recovery.
saga_test(ids_test LINKS saga_engine saga_failpoint_none)
saga_test(outcomes_test LINKS saga_roster)

# An engine whose clock, random numbers and participants are the test's; and one that knows a saga.
add_library(saga_engine_fixture STATIC engine_fixture.c scratch.c)
target_include_directories(saga_engine_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_engine_fixture PRIVATE saga_flags
    PUBLIC saga_engine saga_failpoint_none PkgConfig::CHECK)
saga_test(recovery_test LINKS saga_engine_fixture)
saga_test(key_table_test LINKS saga_start_keys)
saga_test(roster_test LINKS saga_roster)
foreach(test engine_test engine_request_test engine_tell_test checkpoint_test retention_test
         retention_slope_test)
    saga_test(${test} SOURCES ${test}.c trip_fixture.c LINKS saga_engine_fixture)
endforeach()

# What the engine leaves behind, with checkpoints, where the power fails.
add_library(saga_log_story STATIC log_story.c)
target_include_directories(saga_log_story PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_log_story PRIVATE saga_flags PkgConfig::XXHASH PUBLIC saga_engine_fixture)
saga_test(power_test SOURCES power_test.c crash_disk.c faulty_disk.c trip_load.c trip_fixture.c
    LINKS saga_log_story LABEL release TIMEOUT 1200)

# The same log damaged.
saga_test(checkpoint_damage_test SOURCES checkpoint_damage_test.c trip_load.c trip_fixture.c
    chaos/daemon_process.c LINKS saga_log_story LABEL release TIMEOUT 1200)
target_include_directories(checkpoint_damage_test PRIVATE chaos)
target_compile_definitions(checkpoint_damage_test PRIVATE SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
add_dependencies(checkpoint_damage_test sagad sagalog)

# The log's room: what is accepted ends (SAGA_ROOM_RUNS=5000 for a long run).
saga_test(room_test SOURCES room_test.c LINKS saga_engine_fixture LABEL release TIMEOUT 1200)
