# The participant library and the services on it.

# A service made for tests, and what tests of participants share.
add_library(saga_participant_fixture STATIC participant_fixture.c shop_fixture.c shop_service.c)
target_include_directories(saga_participant_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_participant_fixture PRIVATE saga_flags PUBLIC saga_participant
    PkgConfig::SQLITE PkgConfig::JANSSON PkgConfig::CHECK)

saga_test(wire_test LINKS saga_wire)
saga_test(fence_test LINKS saga_participant)
saga_test(switches_test LINKS saga_participant_fixture)
foreach(test participant_test participant_refusal_test participant_failure_test participant_crash_test)
    saga_test(${test} LINKS saga_participant_fixture)
endforeach()

saga_test(services_test LINKS saga_participant_fixture saga_parking saga_booking saga_billing)
