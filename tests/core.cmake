# The pure core.
saga_test(plan_test LINKS saga_core)

add_library(saga_script STATIC saga_script.c)
target_link_libraries(saga_script PRIVATE saga_flags PUBLIC saga_core PkgConfig::CHECK)
saga_test(saga_rules_test
    SOURCES saga_rules_test.c saga_rules_forward.c saga_rules_backward.c saga_rules_pivot.c
        saga_rules_replies.c
    LINKS saga_script)

# The test looks inside: the table itself (fold.h).
saga_test(saga_table_test
    SOURCES saga_table_test.c saga_explorer.c saga_reference.c
    LINKS saga_script)
# Millions of states: optimized whatever the build.
set_source_files_properties(saga_explorer.c saga_reference.c PROPERTIES COMPILE_OPTIONS -O1)
