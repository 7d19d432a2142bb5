#!/bin/sh
# What shell tests of a daemon share; they read it: . tests/daemon_stage.sh
#
#   $folder   this test's own, removed at the end; the daemons' journal is daemon.log in it
#   $daemon   the process that runs, or nothing; killed at the end
set -eu
export LC_ALL=C

folder=$(mktemp -d)
daemon=

finish() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

# start_daemon PROGRAM OPTION...: in one process with its services. Returns when it is ready, or
# has died.
start_daemon() {
    program=$1
    shift
    rm -f "$folder/pipe"
    mkfifo "$folder/pipe"
    "$program" dev "$@" >"$folder/pipe" 2>&1 &
    daemon=$!
    exec 3<"$folder/pipe"
    while read -r line <&3; do
        echo "$line" >>"$folder/daemon.log"
        case $line in *"is ready at"*) break ;; esac
    done
    cat <&3 >>"$folder/daemon.log" &
    exec 3<&-
}

# close_daemon SIGNAL: $status is what it ended with, then.
close_daemon() {
    kill "-$1" "$daemon" 2>/dev/null || true
    status=0
    # shellcheck disable=SC2034  # for whoever calls this
    wait "$daemon" 2>/dev/null || status=$?
    daemon=
}
