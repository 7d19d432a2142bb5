#!/bin/sh
# usage: chaos_test.sh FOLDER-OF-PROGRAMS [OPTION-OF-SAGA-CHAOS...]
#
# saga-chaos, with examples/python/parking.py as the service parking.
set -eu

bin=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT

for program in sagad sagactl sagalog booking billing; do
    ln -s "$bin/$program" "$programs"
done
# It has neither /health nor switches for failures, which saga-chaos asks the service in C for.
cat >"$programs/parking" <<END
#!/usr/bin/python3
import os, sys
words = [word for word in sys.argv[1:] if not word.startswith("--fail=")]
if "--http" in words:
    del words[words.index("--http") : words.index("--http") + 2]
program = "$here/../../examples/python/parking.py"
os.execv(program, [program, *words])
END
chmod +x "$programs/parking"
"$here/../chaos/saga-chaos" --programs "$programs" "$@"
