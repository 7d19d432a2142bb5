# saga_library(NAME SOURCES ... INCLUDES folder ... LINKS target ... PRIVATE_LINKS target ...)
#
# INCLUDES are the folders of this target's own headers. What it may see beyond
# those comes from LINKS alone, so an include against the direction of the
# dependencies does not compile.
function(saga_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;INCLUDES;LINKS;PRIVATE_LINKS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${ARG_INCLUDES})
    target_link_libraries(${name} PRIVATE saga_flags ${ARG_PRIVATE_LINKS} PUBLIC ${ARG_LINKS})
endfunction()

# saga_program(NAME SOURCES ... LINKS ...): lands in bin/ of the build folder.
function(saga_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE saga_flags ${ARG_LINKS})
endfunction()

# saga_test(NAME [SOURCES ...] LINKS ... [LABEL unit] [TIMEOUT seconds]): one
# executable (<name>.c by default) and one CTest entry of the same name. The end
# of its main() is in saga_check_run (tests/check_run.h).
function(saga_test name)
    cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINKS" ${ARGN})
    if(NOT ARG_SOURCES)
        set(ARG_SOURCES ${name}.c)
    endif()
    if(NOT ARG_LABEL)
        set(ARG_LABEL unit)
    endif()
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE saga_flags saga_check_run ${ARG_LINKS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
