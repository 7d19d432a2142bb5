# JSON, the engine's inbox, a saga as others see it, the HTTP API, and sagactl.
saga_test(json_test LINKS saga_json m)
saga_test(inbox_test LINKS saga_inbox Threads::Threads)
