# Warnings, hardening and sanitizers. Everything of ours is compiled with these.
option(SAGA_WERROR "Warnings are errors" OFF)
option(SAGA_COVERAGE "Count lines and branches" OFF)
set(SAGA_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

add_library(saga_flags INTERFACE)
target_compile_options(saga_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wformat=2 -Wnull-dereference -Wundef -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wno-missing-field-initializers -fno-common)
target_compile_definitions(saga_flags INTERFACE _GNU_SOURCE)
if(SAGA_WERROR)
    target_compile_options(saga_flags INTERFACE -Werror)
endif()
if(SAGA_SANITIZE)
    target_compile_options(saga_flags INTERFACE -fsanitize=${SAGA_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(saga_flags INTERFACE -fsanitize=${SAGA_SANITIZE})
else()
    target_compile_options(saga_flags INTERFACE $<$<CONFIG:Release>:-fstack-protector-strong
        -fstack-clash-protection -fcf-protection>)
    target_compile_definitions(saga_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
    target_link_options(saga_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(SAGA_COVERAGE)
    target_compile_options(saga_flags INTERFACE --coverage)
    target_link_options(saga_flags INTERFACE --coverage)
endif()
# Assertions are part of the product: a state that cannot be is a crash that
# recovery survives, never a wrong answer.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2 -g" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
