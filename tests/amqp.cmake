# The client of the broker.
saga_test(amqp_address_test SOURCES amqp_address_test.c scratch.c LINKS saga_amqp)
saga_test(amqp_message_test LINKS saga_amqp)
