#!/bin/sh
# usage: sagactl_test.sh FOLDER-OF-PROGRAMS EXAMPLE-DEFINITION
#
# sagactl as its users call it: what it prints, and its exit statuses, against
# sagad dev.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/daemon_stage.sh
. "$here/daemon_stage.sh"
unset SAGAD_SERVER SAGAD_DATA_DIR NO_COLOR || true

bin=$1
example=$2
sagactl=$bin/sagactl

fail() {
    echo "FAILED: $1"
    echo "--- standard output"
    cat "$folder/out"
    echo "--- standard error"
    cat "$folder/err"
    exit 1
}

# expect STATUS COMMAND...: runs it; its output is in out and err.
expect() {
    wanted=$1
    shift
    status=0
    "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" = "$wanted" ] || fail "exit status $status instead of $wanted: $*"
}
says() { # says out|err TEXT
    grep -qF -e "$2" "$folder/$1" || fail "standard $1 does not say '$2'"
}
silent() { # silent out|err
    [ ! -s "$folder/$1" ] || fail "standard $1 is not silent"
}

open_daemon() {
    start_daemon "$bin/sagad" --data-dir "$folder/data" "$@"
}
kill_daemon() {
    close_daemon KILL
}

# ------------------------------------------------------------- without a daemon
expect 0 "$sagactl" --help
says out "Commands:"
expect 0 "$sagactl" start --help
says out "--input=JSON|@FILE"
expect 2 "$sagactl"
says err "which command?"
expect 2 "$sagactl" strat booking
says err "did you mean 'start'?"
expect 2 "$sagactl" start booking
says err "--input is missing"
expect 2 "$sagactl" start booking --input '{}' --timeout 3s
says err "--timeout is for --wait"
expect 2 "$sagactl" start booking --input '{}' --wait --timeout soon
says err "such as 500ms"
expect 2 "$sagactl" get
expect 2 "$sagactl" get zebra
says err "no part of an id"
expect 2 "$sagactl" resolve 1234 --step s --verdict maybe --reason r
says err "--verdict is done or rejected"
expect 2 "$sagactl" resolve 1234 --step s --verdict rejected --content '{}' --reason r
says err "--content is the result of a step that is done"
expect 2 "$sagactl" resolve 1234 --verdict "done" --reason r
says err "--step is missing"
expect 2 "$sagactl" mark-compensated 1234 --step s
says err "--reason is missing"
expect 2 "$sagactl" write-off 1234 --step s --reason ''
says err "--reason is missing"
expect 2 "$sagactl" list --limit 0
expect 2 "$sagactl" list extra
expect 2 "$sagactl" list
says err "where is the daemon?"
expect 2 "$sagactl" list --server ftp://localhost
expect 4 "$sagactl" list --data-dir "$folder"
says err "is sagad running"
silent out
expect 4 "$sagactl" --server http://127.0.0.1:1 list
expect 4 "$sagactl" start booking --input '{}' --wait --data-dir "$folder"

cp "$example" "$folder/good.yaml"
sed 's/timeout: 10s/timout: 10s/; s/pivot: true/pivot: maybe/' "$example" >"$folder/bad.yaml"
expect 0 "$sagactl" validate "$folder/good.yaml"
says out "good.yaml: valid: saga booking, version 1, 6 steps"
expect 0 "$sagactl" validate "$(dirname "$example")"/*.yaml
says out "booking-unfenced.yaml: valid: saga booking-unfenced, version 1, 6 steps"
expect 1 "$sagactl" validate "$folder/bad.yaml"
grep -qE "bad.yaml:[0-9]+:[0-9]+: error: .*timout" "$folder/err" || fail "no place of the error"
says err "did you mean 'timeout'?"
expect 1 "$sagactl" validate "$folder/good.yaml" "$folder/bad.yaml"
says out "good.yaml: valid"
expect 3 "$sagactl" validate "$folder/missing.yaml"
says err "No such file"
expect 1 "$sagactl" validate --json "$folder/bad.yaml"
says out '"valid":false'
says out '"hint":"did you mean '
silent err

# ----------------------------------------------------------------- with a daemon
mkdir -m 0750 "$folder/data"
open_daemon
export SAGAD_DATA_DIR="$folder/data"
"$bin/parking" --db "$folder/data/parking.db" create_parking_slot --name='Slot 1' >"$folder/slot"
slot=$(sed 's/.*"uuid": *"\([^"]*\)".*/\1/' "$folder/slot")
input="{\"parking_slot_uuid\": \"$slot\", \"total\": 10000}"

expect 0 "$sagactl" start booking --input "$input" --wait
says out "completed"
says out "confirm"
silent err
expect 5 "$sagactl" start booking --input "$input" --wait --timeout 60s
says out "compensated (rejected)"
expect 5 "$sagactl" start booking --input "$input" --wait --json
says out '"status":"compensated","reason":"rejected"'
[ "$(wc -l <"$folder/out")" = 1 ] || fail "JSON on more than one line"

expect 0 "$sagactl" start booking --input "$input" --key k1
id=$(cat "$folder/out")
expect 0 "$sagactl" start booking --input "$input" --key k1
[ "$(cat "$folder/out")" = "$id" ] || fail "the same key gave another saga"
expect 1 "$sagactl" start booking --input '{}' --key k1
says err "with another input"
echo "$input" >"$folder/input.json"
expect 0 "$sagactl" start booking --input "@$folder/input.json" --key k1
[ "$(cat "$folder/out")" = "$id" ] || fail "the same key gave another saga"
expect 0 sh -c "'$sagactl' start booking --input @- --key k1 <'$folder/input.json'"
[ "$(cat "$folder/out")" = "$id" ] || fail "the same key gave another saga"
expect 3 "$sagactl" start bookings --input '{}'
says err "there is: booking"
expect 1 "$sagactl" start booking --input '{"a": 1, "a": 2}'
says err "duplicate object key"
expect 1 "$sagactl" start booking --input '[1]'
says err "is an object"
expect 3 "$sagactl" start booking --input "@$folder/missing"
head -c 1100000 /dev/zero | tr '\0' ' ' >"$folder/large"
expect 1 "$sagactl" start booking --input "@$folder/large"
says err "more than the limit of 1048576 bytes"

expect 0 "$sagactl" list
says out "ID        SAGA     VERSION  STATUS"
[ "$(wc -l <"$folder/out")" = 5 ] || fail "not four sagas"
last=$(printf %s "$id" | tail -c 8)
says out "$last  booking"
expect 0 "$sagactl" list --status completed --saga booking
[ "$(wc -l <"$folder/out")" = 2 ] || fail "not one saga"
expect 0 "$sagactl" list --limit 2
says err "there are more than 2"
expect 0 "$sagactl" list --saga nothing
silent out
expect 0 "$sagactl" list --json --limit 1
says out '"more":true'
says out "$id"
expect 1 "$sagactl" list --status "done"
says err "there are: running, compensating"

expect 0 "$sagactl" get "$id"
expect 0 "$sagactl" get "$last"
says out "id       $id"
expect 0 "$sagactl" get "$(printf %s "$last" | tr a-f A-F)"
expect 0 "$sagactl" get --json "$last"
says out "{\"id\":\"$id\""
expect 2 "$sagactl" get "$(printf %s "$id" | head -c 4)"
says err "4 sagas have"
says err "$id"
expect 3 "$sagactl" get ffffffff0
expect 3 "$sagactl" get 00000000-0000-7000-8000-000000000000
says err "no saga of this id"
expect 1 "$sagactl" cancel "$last" --reason "no more"
says err "has ended"
expect 1 "$sagactl" retry "$last"
expect 0 "$sagactl" stats
grep -qE "^starts.started +4$" "$folder/out" || fail "four starts are not counted"
expect 0 "$sagactl" stats --json
says out '"starts":{"started":4'
# an option of one kind wins over the environment
expect 0 "$sagactl" list --server "unix:$folder/data/sagad.sock"
expect 4 env SAGAD_SERVER=unix:/nonexistent "$sagactl" list
expect 0 env SAGAD_SERVER=unix:/nonexistent "$sagactl" list --data-dir "$folder/data"
kill_daemon
expect 4 "$sagactl" list

# ---------------------------------------------- parked, not in time, killed, TCP
mkdir "$folder/definitions"
cp "$example" "$folder/definitions"
cat >"$folder/definitions/stuck.yaml" <<'END'
saga: stuck-for-ever-and-ever
version: 1
participants:
  booking: {fenced: true}
steps:
  - name: create
    command: booking.create
    done: [BOOKING_CREATED]
    compensation: {command: booking.reject, done: [BOOKING_REJECTED]}
    timeout: 200ms
    retry: {attempts: 1}
    on_unknown: park
END
open_daemon --definitions "$folder/definitions" --delay booking.create=2500
expect 6 "$sagactl" start stuck-for-ever-and-ever --input "$input" --wait
says out "parked (in_doubt)"
expect 0 "$sagactl" list --status parked
says out "stuck"
stuck=$(sed -n 's/ *stuck.*//p' "$folder/out")
expect 0 "$sagactl" retry "$stuck" --reason "look again"
says out "retry recorded; the saga is running"
expect 2 "$sagactl" retry "$stuck" --reason "$(printf '\377')"
says err "not UTF-8"
expect 124 "$sagactl" start booking --input "$input" --wait --timeout 100ms
says err "goes on; see sagactl get"
late=$(sed -n 's/.*see sagactl get //p' "$folder/err")
expect 0 "$sagactl" cancel --json "$late" --reason "it takes too long"
says out '"result":"accepted"'

# A wait outlives the daemon.
"$sagactl" start booking --input "$input" --key patient --wait --json >"$folder/patient" &
waiting=$!
until "$sagactl" start booking --input "$input" --key patient --json | grep -q running; do :; done
kill_daemon
open_daemon --listen tcp:127.0.0.1:0
address=$(sed -n 's/.*is ready at //p' "$folder/daemon.log" | tail -n 1)
expect 0 "$sagactl" --server "$address" list
says out "booking"
# There is no socket in the data directory: it waits on, until there is one again.
kill_daemon
open_daemon
status=0
wait $waiting || status=$?
cp "$folder/patient" "$folder/out"
[ "$status" = 5 ] || fail "the wait over two kills ended with $status instead of 5"
says out '"status":"compensated"'

# A debt: shown with what would end it, and ended by that.
kill_daemon
sed 's/^saga: .*/saga: owing/
     s/PARKING_UNBLOCKED\]}/PARKING_UNBLOCKED], retry: {attempts: 1}}/' "$example" >"$folder/definitions/owing.yaml"
cat >"$folder/definitions/doubtful.yaml" <<'END'
saga: doubtful
version: 1
participants:
  booking: {fenced: true}
steps:
  - name: pay
    command: booking.pay
    done: [BOOKING_PAID]
    compensation: {command: booking.reject, done: [BOOKING_REJECTED]}
    retry: {attempts: 1}
    on_unknown: park
END
open_daemon --definitions "$folder/definitions" --fail parking.reserve --fail parking.unblock --fail booking.pay
owing_slot() {
    "$bin/parking" --db "$folder/data/parking.db" create_parking_slot --name=another |
        sed 's/.*"uuid": *"\([^"]*\)".*/{"parking_slot_uuid": "\1"}/'
}
expect 6 "$sagactl" start owing --input "$(owing_slot)" --wait
says out "parked (debt)"
says out "step block (debt): its compensation had no answer that counts in 1 attempt; since 2"
says out "One of these ends it:"
owing=$(sed -n 's/^id  *//p' "$folder/out")
expect 1 "$sagactl" resolve "$owing" --step block --verdict "done" --reason "no doubt"
says err "the saga goes backward"
expect 1 "$sagactl" write-off "$owing" --step create --reason "no debt"
says err "step 'create' is no debt (it is compensated)"
expect 0 "$sagactl" get "$owing"
# The very line that it prints, but for the reason.
line=$(sed -n 's/^  sagactl \(mark-compensated .*\) --reason TEXT$/\1/p' "$folder/out")
[ "$line" = "mark-compensated $owing --step block" ] || fail "the command is not printed: $line"
# shellcheck disable=SC2086
expect 0 "$sagactl" $line --reason "freed by hand"
says out "mark-compensated recorded; the saga is compensating"
until "$sagactl" get "$owing" | grep -q "status   compensated_manually"; do :; done
expect 1 "$sagactl" mark-compensated "$owing" --step block --reason "again"
says err "has ended (compensated_manually)"
expect 6 "$sagactl" start owing --input "$(owing_slot)" --wait
owing=$(sed -n 's/^id  *//p' "$folder/out")
expect 0 "$sagactl" write-off --json "$owing" --step block --reason "not worth it"
says out '"result":"accepted"'
until "$sagactl" get "$owing" | grep -q "status   inconsistent"; do :; done
expect 0 "$sagactl" get "$owing"
grep -qE "^block +debt" "$folder/out" || fail "what is written off stays owed"
expect 0 "$sagactl" list --status inconsistent
says out "owing"
expect 0 "$bin/sagalog" --data-dir "$folder/data" show "$owing"
says out "operator: write-off block by unix:"
says out "settle block: parking.settle"
# A doubt: likewise.
expect 6 "$sagactl" start doubtful --input "$input" --wait
stuck=$(sed -n 's/^id  *//p' "$folder/out")
says out "step pay (in_doubt): its attempts are used up"
says out "--step pay --verdict rejected --reason TEXT"
grep -q "sagactl cancel" "$folder/out" || fail "a saga before its pivot can be cancelled"
expect 1 "$sagactl" mark-compensated "$stuck" --step pay --reason "no debt"
says err "is no debt (it is unknown)"
expect 1 "$sagactl" resolve "$stuck" --step nothing --verdict "done" --reason "no step"
says err "there is: pay"
expect 2 "$sagactl" resolve "$stuck" --step pay --verdict "done" --content '{"a":' --reason r
says err "--content"
echo '{"seen": "in the ledger"}' >"$folder/content.json"
expect 0 "$sagactl" resolve "$stuck" --step pay --verdict "done" --content "@$folder/content.json" --reason "seen"
says out "resolve recorded; the saga is completed_manually"
expect 0 "$sagactl" get --json "$stuck"
says out '"seen":"in the ledger"'
expect 1 "$sagactl" resolve "$stuck" --step pay --verdict "done" --reason "again"
says err "has ended (completed_manually)"
kill_daemon
open_daemon

# On a terminal: as wide as that is, and in colours if they are wanted.
if command -v script >/dev/null; then
    on_terminal() {
        expect 0 script -qec "env TERM=xterm COLUMNS=60 $* '$sagactl' list" /dev/null
    }
    on_terminal NO_COLOR=
    says out "$(printf '\033[3')"
    on_terminal NO_COLOR=1
    ! grep -q "$(printf '\033')" "$folder/out" || fail "colours that are not wanted"
    [ "$(tr -d '\r' <"$folder/out" | awk '{ if (length > n) n = length } END { print n }')" -le 60 ] ||
        fail "wider than the terminal"
fi
expect 0 env TERM=xterm "$sagactl" list
if grep -q "$(printf '\033')" "$folder/out"; then
    fail "colours in a file"
fi
kill -TERM "$daemon"
wait "$daemon" || fail "the daemon did not stop in order"
daemon=
echo "sagactl: everything as it should be"
