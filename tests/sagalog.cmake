# The inspection tool, as a process, on logs that the real engine has written.
saga_test(trace_test LINKS saga_trace saga_engine saga_failpoint_none)
saga_test(cell_test SOURCES cell_test.c scratch.c LINKS saga_cell)
saga_test(audit_test LINKS saga_audit saga_core)
saga_test(histogram_test LINKS saga_trace)
saga_test(progress_test LINKS saga_trace)
saga_test(mask_test LINKS saga_trace saga_json)
saga_test(record_json_test LINKS saga_trace saga_engine saga_failpoint_none)

add_library(saga_sagalog_fixture STATIC sagalog_fixture.c sagalog_stories.c)
target_include_directories(saga_sagalog_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(saga_sagalog_fixture PUBLIC SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
target_link_libraries(saga_sagalog_fixture PRIVATE saga_flags PUBLIC saga_engine_fixture)
foreach(test sagalog_test sagalog_mutation_test sagalog_show_test sagalog_state_test sagalog_list_test sagalog_explain_test sagalog_damage_test sagalog_tail_test sagalog_retention_test)
    saga_test(${test} LINKS saga_sagalog_fixture saga_json saga_log PkgConfig::JANSSON)
    add_dependencies(${test} sagalog)
endforeach()
foreach(test sagalog_export_test sagalog_import_test sagalog_import_damage_test sagalog_key_test)
    saga_test(${test} SOURCES ${test}.c export_reading.c export_scene.c trip_load.c trip_fixture.c
        LINKS saga_sagalog_fixture saga_log_story saga_audit saga_ids saga_json saga_log PkgConfig::JANSSON
        TIMEOUT 600)
    add_dependencies(${test} sagalog)
endforeach()
target_compile_definitions(sagalog_test PRIVATE
    SAGA_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden/sagalog")

add_test(NAME sagalog_completion_test COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/completion_test.sh
    ${CMAKE_BINARY_DIR}/bin/sagalog ${PROJECT_SOURCE_DIR}/packaging/completions
    ${PROJECT_SOURCE_DIR}/docs/man/sagalog.1.scd)
set_tests_properties(sagalog_completion_test PROPERTIES LABELS docs SKIP_RETURN_CODE 77 TIMEOUT 60)
