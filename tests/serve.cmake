# The services over RabbitMQ: what needs no broker.
saga_test(command_message_test LINKS saga_desk)
# The fake stands before the archive, which then has nothing to add.
saga_test(desk_test SOURCES desk_test.c fake_broker.c
    LINKS saga_desk saga_participant_fixture Threads::Threads)
