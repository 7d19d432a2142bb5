# The client of the broker.
saga_test(amqp_address_test SOURCES amqp_address_test.c scratch.c LINKS saga_amqp)
saga_test(amqp_message_test LINKS saga_amqp)
saga_test(amqp_dial_test LINKS saga_amqp)

# What no real broker says, is said by one that plays scripts.
add_library(saga_scripted_broker STATIC scripted_broker.c)
target_include_directories(saga_scripted_broker PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_scripted_broker PRIVATE saga_flags PUBLIC PkgConfig::CHECK Threads::Threads)
add_library(saga_amqp_scene STATIC amqp_scene.c)
target_include_directories(saga_amqp_scene PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_amqp_scene PRIVATE saga_flags PUBLIC saga_amqp PkgConfig::CHECK
    Threads::Threads)
foreach(test amqp_push_test amqp_hostile_link_test amqp_hostile_publisher_test amqp_hostile_consumer_test)
    saga_test(${test} LINKS saga_amqp_scene saga_scripted_broker)
endforeach()

# A broker of their own, of 150 MB. They wait most of the time, and take long all together: so
# they start first, and side by side.
add_library(saga_broker_node STATIC broker_node.c)
target_include_directories(saga_broker_node PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(saga_broker_node PUBLIC SAGA_BROKER="${PROJECT_SOURCE_DIR}/scripts/broker")
target_link_libraries(saga_broker_node PRIVATE saga_flags)

# saga_broker_test(NAME [SOURCES ...] LINKS ... [TIMEOUT seconds])
function(saga_broker_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 300)
    endif()
    saga_test(${name} SOURCES ${ARG_SOURCES} LINKS saga_broker_node ${ARG_LINKS} LABEL broker
        TIMEOUT ${ARG_TIMEOUT})
    set_tests_properties(${name} PROPERTIES COST 60)
endfunction()

saga_broker_test(broker_node_test LINKS saga_amqp)
saga_broker_test(amqp_link_test LINKS saga_amqp_scene)
saga_broker_test(amqp_publisher_test LINKS saga_amqp_scene)
saga_broker_test(amqp_consumer_test LINKS saga_amqp_scene)
saga_broker_test(amqp_tls_test LINKS saga_amqp_scene)
