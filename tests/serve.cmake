# The services over RabbitMQ: what needs no broker.
saga_test(command_message_test LINKS saga_desk)
# The fake stands before the archive, which then has nothing to add.
saga_test(desk_test SOURCES desk_test.c fake_broker.c
    LINKS saga_desk saga_participant_fixture Threads::Threads)
saga_test(serve_cli_test SOURCES serve_cli_test.c service_process.c
    LINKS saga_participant_fixture)
target_compile_definitions(serve_cli_test PRIVATE SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
add_dependencies(serve_cli_test parking booking billing)

# What needs one: a private node.
saga_broker_test(serve_broker_test
    SOURCES serve_broker_test.c command_sender.c wire_ends.c service_process.c
    LINKS saga_amqp saga_parking saga_participant_fixture TIMEOUT 1200)
target_compile_definitions(serve_broker_test PRIVATE SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
add_dependencies(serve_broker_test parking)
