# JSON, the engine's inbox, a saga as others see it, the HTTP API, and sagactl.
saga_test(json_test LINKS saga_json m)
saga_test(inbox_test LINKS saga_inbox Threads::Threads)
saga_test(chain_test SOURCES chain_test.c scratch.c LINKS saga_chain saga_script)
saga_test(view_test LINKS saga_view saga_json)

add_library(saga_api_fixture STATIC api_fixture.c scratch.c)
target_link_libraries(saga_api_fixture PRIVATE saga_flags PUBLIC saga_api saga_chain saga_json
    saga_engine saga_failpoint_none PkgConfig::CHECK Threads::Threads)
saga_test(exchange_test LINKS saga_api_fixture)
saga_test(api_start_test LINKS saga_api_fixture)
saga_test(api_saga_test LINKS saga_api_fixture)
saga_test(api_http_test LINKS saga_api_fixture)
saga_test(listener_test LINKS saga_api_fixture)
saga_test(api_slow_test LINKS saga_api_fixture)

saga_test(sagactl_lost_test SOURCES sagactl_lost_test.c scratch.c)
target_compile_definitions(sagactl_lost_test PRIVATE SAGACTL="$<TARGET_FILE:sagactl>")
add_dependencies(sagactl_lost_test sagactl)
add_test(NAME sagactl_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/sagactl_test.sh
    ${CMAKE_BINARY_DIR}/bin ${PROJECT_SOURCE_DIR}/examples/booking/booking.yaml)
set_tests_properties(sagactl_test PROPERTIES LABELS system TIMEOUT 120)
