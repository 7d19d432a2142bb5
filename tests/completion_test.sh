#!/bin/bash
# usage: completion_test.sh PROGRAM FOLDER PAGE
#
# The completions in FOLDER know the commands and the long options of PROGRAM's
# --help, and no others, and that of bash does what it is for. The man page in
# PAGE has a paragraph for each command.
set -eu
export LC_ALL=C

program=$1
folder=$2
page=$3

if [ ! -x "$program" ]; then
    echo "skipped: $program is not built"
    exit 77
fi
name=$(basename "$program")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

complain() {
    echo "$1"
    failed=1
}

"$program" --help >"$scratch/help"
grep -oE -e '--[a-z][a-z-]+' "$scratch/help" | sort -u >"$scratch/options"
sed -n '/^Commands:$/,/^$/s/^  \([a-z-]*\) .*/\1/p' "$scratch/help" | sort -u >"$scratch/commands"
if [ ! -s "$scratch/options" ] || [ ! -s "$scratch/commands" ]; then
    echo "$name --help names no option, or no command"
    exit 1
fi

# Every name of the help is in every completion.
for file in "$name.bash" "_$name" "$name.fish"; do
    while read -r option; do
        grep -qE -e "(--|-l )${option#--}([^a-z-]|\$)" "$folder/$file" ||
            complain "$file does not know $option"
    done <"$scratch/options"
    while read -r command; do
        grep -qE -e "(^|[^a-z-])$command([^a-z-]|\$)" "$folder/$file" ||
            complain "$file does not know $command"
    done <"$scratch/commands"
done
while read -r command; do
    grep -qE -e "^\*$command\*( _[A-Z]+_)*\$" "$page" || complain "$page has no paragraph for $command"
done <"$scratch/commands"
# And no completion has others: bash's lists them in one way, fish's in another.
grep -oE -e '--[a-z][a-z-]+' "$folder/$name.bash" "$folder/_$name" -h | sort -u >"$scratch/known"
sed -n '/^complete/s/.* -l \([a-z-]*\).*/--\1/p' "$folder/$name.fish" | sort -u >>"$scratch/known"
unknown=$(sort -u "$scratch/known" | comm -13 "$scratch/options" -)
[ -z "$unknown" ] || complain "$name does not know: $unknown"

# What bash offers after these words; the last is being typed.
offered() {
    COMP_WORDS=("$name" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    "_$name"
    printf '%s\n' "${COMPREPLY[@]}"
}

expect() {
    wanted=$1
    shift
    offered "$@" | grep -qx -e "$wanted" || complain "bash does not offer '$wanted' after: $*"
}

refuse() {
    wanted=$1
    shift
    ! offered "$@" | grep -qx -e "$wanted" || complain "bash offers '$wanted' after: $*"
}

# shellcheck source=/dev/null
. "$folder/$name.bash"
while read -r command; do
    expect "$command" ""
done <"$scratch/commands"
expect verify ver
expect --attention list --att
expect parked list --status par
expect parked list --status = par
refuse --attention show --att
expect --payloads show --pay
mkdir "$scratch/place"
expect "$scratch/place" --data-dir "$scratch/pl"
PATH=$scratch:$PATH
cat >"$scratch/$name" <<'END'
#!/bin/sh
[ "$1 $2 $3" = "--data-dir /there list" ] && printf 'ID        SAGA\n1c1d1e1f  booking\n'
END
chmod +x "$scratch/$name"
expect 1c1d1e1f --data-dir /there show 1c
refuse 1c1d1e1f --data-dir /elsewhere show 1c
refuse ID --data-dir /there show ""

! command -v zsh >"$scratch/there" || zsh -n "$folder/_$name" || complain "zsh refuses its file"
! command -v fish >"$scratch/there" || fish -n "$folder/$name.fish" || complain "fish refuses its file"
exit "$failed"
