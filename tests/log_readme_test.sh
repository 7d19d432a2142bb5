#!/bin/sh
# The reader in log/README.md reads a log, and finds what was written.
#
#   log_readme_test.sh LEDGER_DUMP README
set -eu
ledger_dump=$1
readme=$2
python=/usr/bin/python3
"$python" -c 'import lmdb, msgpack' 2>/dev/null || {
    echo "python3-lmdb or python3-msgpack is missing: skipped"
    exit 77
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -m 0750 "$work/dir"

"$ledger_dump" "$work/dir" 1500 >"$work/written"
# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n '/^```python$/,/^```$/p' "$readme" | grep -v '^```' >"$work/reader.py"
"$python" "$work/reader.py" "$work/dir" >"$work/printed"
# In the ledger's words.
"$python" - "$work/printed" >"$work/read" <<'END'
import ast, sys
for line in open(sys.argv[1]):
    lsn, record = line.split(" ", 1)
    record = ast.literal_eval(record)
    payload = record.get("payload", b"")
    print(lsn, record["fact"], record["epoch"], record.get("step", 255), len(payload),
          payload[0] if payload else 0)
END
diff "$work/written" "$work/read"
[ "$(wc -l <"$work/read")" -eq 1500 ]
