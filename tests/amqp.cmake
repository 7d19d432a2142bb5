# The client of RabbitMQ: by itself, against a broker that plays scripts, and against a real one.
saga_test(amqp_dial_test LINKS saga_amqp)

add_library(saga_scripted_broker STATIC scripted_broker.c)
target_include_directories(saga_scripted_broker PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(saga_scripted_broker PRIVATE saga_flags PUBLIC PkgConfig::CHECK Threads::Threads)
saga_test(amqp_hostile_link_test LINKS saga_amqp saga_scripted_broker)
