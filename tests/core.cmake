# The pure core.
saga_test(plan_test LINKS saga_core)

add_library(saga_script STATIC saga_script.c)
target_link_libraries(saga_script PRIVATE saga_flags PUBLIC saga_core PkgConfig::CHECK)
saga_test(saga_rules_test
    SOURCES saga_rules_test.c saga_rules_forward.c saga_rules_backward.c saga_rules_pivot.c
        saga_rules_replies.c saga_rules_operator.c
    LINKS saga_script)

# Millions of states: optimized whatever the build.
add_library(saga_explorer STATIC saga_explorer.c saga_reference.c
    saga_reference_operator.c saga_reference_state.c)
target_compile_options(saga_explorer PRIVATE -O1)
target_link_libraries(saga_explorer PRIVATE saga_flags PUBLIC saga_script)
# The table itself is inside (fold.h).
saga_test(saga_table_test LINKS saga_explorer TIMEOUT 900)
set_tests_properties(saga_table_test PROPERTIES COST 100) # it starts early: it takes long
if(SAGA_SANITIZE STREQUAL "thread") # there is one, for which it would take ten minutes
    set_tests_properties(saga_table_test PROPERTIES DISABLED TRUE)
endif()
saga_test(saga_record_test LINKS saga_explorer)
