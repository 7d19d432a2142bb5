#!/bin/sh
# usage: man_help_test.sh PROGRAM PAGE [COMMAND...]
#
# PROGRAM's --help, and that of each COMMAND of it, and the man page in PAGE
# name the same long options.
set -eu
export LC_ALL=C

program=$1
page=$2
shift 2

if [ ! -x "$program" ]; then
    echo "skipped: $program is not built"
    exit 77
fi

# The long options in a text, one a line. Every program has --help, --usage and
# --version; a page says so once, in whichever words it likes.
options() {
    grep -oE -e '(^|[^a-zA-Z0-9-])--[a-z][a-z0-9-]*' | sed 's/^[^-]*//' |
        grep -vxE -e '--(help|usage|version)' | sort -u
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$program" --help >"$folder/help"
for command in "$@"; do
    "$program" "$command" --help >>"$folder/help"
done
options <"$folder/help" >"$folder/offered"
# scdoc's escapes are not part of an option's name.
sed 's/\\//g' "$page" | options >"$folder/described"

[ -s "$folder/offered" ] || {
    echo "$program --help names no option"
    exit 1
}
undescribed=$(comm -23 "$folder/offered" "$folder/described")
unknown=$(comm -13 "$folder/offered" "$folder/described")
[ -z "$undescribed" ] || echo "not in $page: $undescribed"
[ -z "$unknown" ] || echo "in $page, but not in $program --help: $unknown"
[ -z "$undescribed$unknown" ]
