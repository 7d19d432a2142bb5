# Definitions: what loads, what does not and why, and whatever else the bytes may be.
foreach(test definition_test definition_errors_test definition_limits_test
             definition_property_test definition_examples_test)
    saga_test(${test} LINKS saga_definition saga_core)
    target_compile_definitions(${test} PRIVATE
        SAGA_EXAMPLES_DIR="${PROJECT_SOURCE_DIR}/examples"
        SAGA_GOLDEN_DIR="${CMAKE_CURRENT_SOURCE_DIR}/golden")
endforeach()

option(SAGA_FUZZ "Build the entries for libFuzzer; needs clang" OFF)
if(SAGA_FUZZ)
    add_executable(definition_fuzz fuzz/definition_fuzz.c)
    target_link_libraries(definition_fuzz PRIVATE saga_flags saga_definition saga_core)
    target_link_options(definition_fuzz PRIVATE -fsanitize=fuzzer)
    set_target_properties(definition_fuzz PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
