# Participants in Python, over a broker of their own. Debian's python3, which has Debian's python3-pika.
function(saga_python_test name file)
    add_test(NAME ${name} COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/python_participant/${file})
    set_tests_properties(${name} PROPERTIES LABELS broker TIMEOUT 900 COST 60
        ENVIRONMENT "SAGA_BIN=${CMAKE_BINARY_DIR}/bin;PYTHONDONTWRITEBYTECODE=1")
endfunction()

# examples/python: the fence, cell by cell; then as a participant of the real daemon.
saga_python_test(python_fenced_test fenced_test.py)
saga_python_test(python_killed_test killed_test.py)
# ... and what stops it for a while; without a broker.
saga_python_test(python_stopped_test stopped_test.py)
# The real daemon and participants that keep no fence.
saga_python_test(python_plain_test plain_test.py)

# saga-chaos with examples/python in the place of our parking.
add_test(NAME python_chaos_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/python_participant/chaos_test.sh
    ${CMAKE_BINARY_DIR}/bin --duration 60 --bookings 300)
set_tests_properties(python_chaos_test PROPERTIES LABELS chaos TIMEOUT 1800 COST 100)
