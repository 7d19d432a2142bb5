# The participant library and the services on it.

# A service made for tests, and what tests of participants share.
add_library(saga_participant_fixture STATIC participant_fixture.c shop_fixture.c shop_service.c)
target_include_directories(saga_participant_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_participant_fixture PRIVATE saga_flags PUBLIC saga_participant
    PkgConfig::SQLITE PkgConfig::JANSSON saga_check_run)

saga_test(wire_test LINKS saga_wire)
saga_test(fence_test LINKS saga_participant)
saga_test(switches_test LINKS saga_participant_fixture)
foreach(test participant_test participant_refusal_test participant_failure_test participant_crash_test)
    saga_test(${test} LINKS saga_participant_fixture)
endforeach()

saga_test(services_test LINKS saga_participant_fixture saga_parking saga_booking saga_billing)

# The client of the HTTP API, against a server that says what it is told.
add_library(saga_scripted_server STATIC scripted_server.c)
target_include_directories(saga_scripted_server PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_scripted_server PRIVATE saga_flags PUBLIC PkgConfig::CHECK Threads::Threads)
saga_test(http_client_test LINKS saga_http_client saga_scripted_server)
saga_test(services_cli_test LINKS saga_participant_fixture saga_scripted_server
    saga_parking saga_booking saga_billing)
target_compile_definitions(services_cli_test PRIVATE SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
add_dependencies(services_cli_test parking booking billing)
