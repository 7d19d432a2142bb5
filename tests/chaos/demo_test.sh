#!/bin/sh
# usage: demo_test.sh DEMO BOOKING_YAML
#
# The demonstration succeeds as it is, and fails with any compensation taken out of
# BOOKING_YAML: it looks at what it says it shows. $SAGA_BIN: where the programs are.
set -eu

demo=$1
yaml=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

# The file with these steps' compensations replaced.
without() {
    awk -v steps=" $1 " '
        /^ *- name:/ { step = $3 }
        index(steps, " " step " ") && /^ *(compensation|compensated_by):/ {
            print "    no_effect: true"
            next
        }
        { print }' "$yaml"
}

# expect STATUS TEXT STEPS: runs it without the compensations of STEPS.
expect() {
    rm -rf "$folder/definitions"
    mkdir "$folder/definitions"
    without "$3" >"$folder/definitions/booking.yaml"
    status=0
    "$demo" "$folder/definitions" >"$folder/output" 2>&1 || status=$?
    if [ "$status" -eq "$1" ] && grep -q -e "$2" "$folder/output"; then
        echo "without '$3': status $status, '$2'"
        return
    fi
    echo "without '$3': status $status, not $1, or it does not say '$2':"
    cat "$folder/output"
    failures=$((failures + 1))
}

expect 0 "is as promised" ""
expect 1 "WRONG: the slot is 'blocked'" block
expect 1 "WRONG: the bill is 'paid'" authorize
# What the create step does also undoes the approval: alone it cannot be taken out.
expect 1 "step 'create' has no compensation" create
expect 1 "WRONG: the booking is" "create approve"
expect 1 "WRONG: " "create block approve authorize"
[ "$failures" -eq 0 ]
