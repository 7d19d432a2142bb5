# The log: its codec, its promises, and what failing disks make of them.
saga_test(record_test LINKS saga_log PkgConfig::MSGPACK PkgConfig::XXHASH)
target_compile_definitions(record_test PRIVATE
    SAGA_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden")

add_library(saga_ledger STATIC scratch.c ledger.c)
target_link_libraries(saga_ledger PRIVATE saga_flags PUBLIC saga_log PkgConfig::CHECK)
saga_test(log_test LINKS saga_ledger)
saga_test(log_fault_test SOURCES log_fault_test.c faulty_disk.c LINKS saga_ledger)
target_link_options(log_fault_test PRIVATE -Wl,--wrap=realloc)
saga_test(log_damage_test LINKS saga_ledger PkgConfig::XXHASH)
