# The log: its codec, its promises, and what failing disks make of them.
add_library(saga_record_fixture STATIC record_fixture.c)
target_link_libraries(saga_record_fixture PRIVATE saga_flags PUBLIC saga_log PkgConfig::CHECK)
saga_test(record_test LINKS saga_record_fixture PkgConfig::MSGPACK)
saga_test(record_hostile_test LINKS saga_record_fixture PkgConfig::MSGPACK)
saga_test(record_golden_test LINKS saga_record_fixture)
target_compile_definitions(record_golden_test PRIVATE
    SAGA_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden")
saga_test(block_test LINKS saga_record_fixture PkgConfig::XXHASH)
saga_test(tables_test LINKS saga_core saga_log)
saga_test(meta_test LINKS saga_record_fixture PkgConfig::XXHASH)

add_library(saga_ledger STATIC scratch.c ledger.c log_scene.c)
target_link_libraries(saga_ledger PRIVATE saga_flags PUBLIC saga_log PkgConfig::CHECK)
saga_test(log_test LINKS saga_ledger)
saga_test(log_rows_test LINKS saga_ledger)
saga_test(log_retention_test LINKS saga_ledger)
saga_test(log_room_test LINKS saga_ledger)
saga_test(key_run_test LINKS saga_ledger saga_start_keys)
saga_test(start_keys_test LINKS saga_ledger saga_start_keys saga_ids)
saga_test(log_sharing_test LINKS saga_ledger)
target_compile_definitions(log_sharing_test PRIVATE
    SAGA_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden")
saga_test(log_fault_test SOURCES log_fault_test.c faulty_disk.c LINKS saga_ledger)
target_link_options(log_fault_test PRIVATE -Wl,--wrap=realloc)
saga_test(log_reader_test LINKS saga_ledger)
saga_test(log_trees_test LINKS saga_ledger)
saga_test(log_damage_test LINKS saga_ledger PkgConfig::XXHASH)

# What log/README.md tells readers in other languages.
add_executable(ledger_dump ledger_dump.c)
target_link_libraries(ledger_dump PRIVATE saga_flags saga_ledger)
set_target_properties(ledger_dump PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME log_readme_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/log_readme_test.sh
    $<TARGET_FILE:ledger_dump> ${PROJECT_SOURCE_DIR}/log/README.md)
set_tests_properties(log_readme_test PROPERTIES LABELS docs SKIP_RETURN_CODE 77 TIMEOUT 60)

# Logs that go on from what stood elsewhere.
saga_test(graft_test SOURCES graft_test.c faulty_disk.c LINKS saga_ledger)

# Backups.
saga_test(archive_test LINKS saga_log)
foreach(test backup_test backup_fault_test)
    saga_test(${test} SOURCES ${test}.c backup_scene.c crash_disk.c faulty_disk.c
        LINKS saga_ledger TIMEOUT 300)
endforeach()
