# The daemon behind a broker: its messages, which need none.
foreach(test sent_command_test delivered_message_test askers_test)
    saga_test(${test} LINKS saga_broker saga_engine saga_failpoint_none PkgConfig::JANSSON)
endforeach()
