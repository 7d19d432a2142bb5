#!/bin/sh
# usage: settle_kill_test.sh FOLDER-OF-PROGRAMS SAGAD-FAILPOINTS BOOKING_YAML
#
# A debt is marked by hand, and the daemon is killed at every failpoint on the way:
# before and after the operator's word is durable, before and after the settle has left,
# before and after its answer is. Whatever the operator was told, he asks again; the saga
# ends once, and the compensation that was owed never takes effect any more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/daemon_stage.sh
. "$here/../daemon_stage.sh"

bin=$1
failpoints=$2
yaml=$3
sagactl=$bin/sagactl

fail() {
    echo "FAILED: $1"
    cat "$folder/daemon.log" 2>/dev/null || true
    exit 1
}

open_daemon() { # open_daemon PROGRAM OPTION...
    opened=$1
    shift
    start_daemon "$opened" --data-dir "$SAGAD_DATA_DIR" --definitions "$folder/definitions" "$@"
}

mkdir "$folder/definitions"
sed 's/^saga: .*/saga: owing/
     s/PARKING_UNBLOCKED\]}/PARKING_UNBLOCKED], retry: {attempts: 1}}/' "$yaml" \
    >"$folder/definitions/owing.yaml"

# A saga that is parked for a debt, once; each run begins with a copy.
export SAGAD_DATA_DIR="$folder/template"
mkdir -m 0750 "$SAGAD_DATA_DIR"
open_daemon "$bin/sagad" --fail parking.reserve --fail parking.unblock
slot=$("$bin/parking" --db "$SAGAD_DATA_DIR/parking.db" create_parking_slot --name=one |
    sed 's/.*"uuid": *"\([^"]*\)".*/\1/')
id=$("$sagactl" start owing --input "{\"parking_slot_uuid\": \"$slot\"}" --key one)
until "$sagactl" get "$id" | grep -q "parked (debt)"; do :; done
close_daemon TERM

kills=0
for kind in compensation reply; do
    for place in before_append after_append after_commit after_send; do
        export SAGAD_DATA_DIR="$folder/$kind-$place"
        : >"$folder/daemon.log"
        cp -a "$folder/template" "$SAGAD_DATA_DIR"
        SAGAD_FAILPOINT=$kind:$place:1 open_daemon "$failpoints"
        "$sagactl" mark-compensated "$id" --step block --reason "freed by hand" \
            >>"$folder/daemon.log" 2>&1 || true
        # The answer of the settle may come a moment after that of the operator.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 "$daemon" 2>/dev/null || break
            "$sagactl" get "$id" >/dev/null 2>&1 || break
        done
        close_daemon TERM
        [ "$status" = 137 ] && kills=$((kills + 1))
        # From here on the compensation would succeed, if anybody sent it.
        open_daemon "$bin/sagad"
        "$sagactl" mark-compensated "$id" --step block --reason "freed by hand" \
            >>"$folder/daemon.log" 2>&1 || grep -q "has ended (compensated_manually)" "$folder/daemon.log" ||
            fail "$kind:$place: the operator is refused"
        until "$sagactl" get "$id" | grep -q "status   compensated_manually"; do :; done
        [ "$("$bin/sagalog" --data-dir "$SAGAD_DATA_DIR" export | grep -c '"verb":"mark-compensated"')" = 1 ] ||
            fail "$kind:$place: the operator's word is not in the log, once"
        "$bin/parking" --db "$SAGAD_DATA_DIR/parking.db" parking_slot_details "$slot" |
            grep -q '"blocked"' || fail "$kind:$place: the debt was compensated after all"
        close_daemon TERM
        [ "$status" = 0 ] || fail "$kind:$place: the daemon did not stop in order"
    done
done
echo "$kills kills at 8 failpoints, and each debt was settled once"
[ "$kills" -ge 7 ] || fail "only $kills of 8 failpoints were reached"
