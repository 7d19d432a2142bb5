#!/bin/sh
# usage: core_purity_test.sh ARCHIVE SYMBOL
#
# The core decides and does nothing else: what its archive needs from outside
# is listed here, so whoever gives it a clock, a lock or an allocation finds
# this test in the way. SYMBOL is one that the archive must define, so that an
# empty archive does not pass for a pure one.
set -eu
export LC_ALL=C

archive=$1
symbol=$2

nm --format=posix --extern-only --defined-only "$archive" | awk 'NF > 1 { print $1 }' | sort -u >"$archive.defined"
nm --format=posix --undefined-only "$archive" | awk 'NF > 1 { print $1 }' | sort -u >"$archive.undefined"

grep -qx "$symbol" "$archive.defined" || {
    echo "$archive does not define $symbol: is this the core?"
    exit 1
}
foreign=$(comm -13 "$archive.defined" "$archive.undefined" |
    grep -vxE 'mem(cpy|move|set|cmp)|__mem(cpy|move|set)_chk|abort|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_') || true
if [ -n "$foreign" ]; then
    echo "$archive needs from outside: $foreign"
    exit 1
fi
