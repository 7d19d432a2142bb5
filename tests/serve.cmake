# The services over RabbitMQ: what needs no broker.
saga_test(command_message_test LINKS saga_desk)
# The fake stands before the archive, which then has nothing to add.
saga_test(desk_test SOURCES desk_test.c fake_broker.c
    LINKS saga_desk saga_participant_fixture Threads::Threads)

# What needs one: a private node, which the test starts.
saga_test(serve_broker_test
    SOURCES serve_broker_test.c broker_node.c command_sender.c service_process.c
    LINKS saga_amqp saga_parking saga_participant_fixture
    LABEL broker TIMEOUT 600)
target_compile_definitions(serve_broker_test PRIVATE SAGA_BIN_DIR="${CMAKE_BINARY_DIR}/bin"
    SAGA_BROKER="${PROJECT_SOURCE_DIR}/scripts/broker")
add_dependencies(serve_broker_test parking)
