# JSON, the engine's inbox, a saga as others see it, the HTTP API, and sagactl.
saga_test(json_test LINKS saga_json m)
saga_test(inbox_test LINKS saga_inbox Threads::Threads)
saga_test(chain_test SOURCES chain_test.c scratch.c LINKS saga_chain saga_script)
saga_test(view_test LINKS saga_view saga_json)
