# bash completion for sagalog(1)

# The data directory on the command line, if there is one.
_sagalog_data_dir() {
    local i
    for ((i = 1; i < ${#COMP_WORDS[@]} - 1; i++)); do
        case ${COMP_WORDS[i]} in
            -d | --data-dir)
                [[ ${COMP_WORDS[i + 1]} == "=" ]] && ((i++))
                printf '%s\n' "${COMP_WORDS[i + 1]}"
                return
                ;;
        esac
    done
}

# The command on the command line, if there is one already.
_sagalog_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            list | show | explain | state | tail | verify | stats | export | import | backup | \
                restore)
                printf '%s\n' "${COMP_WORDS[i]}"
                return
                ;;
        esac
    done
}

# The ids of the newest sagas, as tables show them.
_sagalog_ids() {
    local dir
    dir=$(_sagalog_data_dir)
    [[ -n $dir ]] && sagalog --data-dir "$dir" list --limit 50 2>/dev/null |
        sed -n '2,$s/ .*//p'
}

_sagalog() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local statuses="running compensating parked quarantined completed compensated
        completed_manually compensated_manually inconsistent"
    local options="--data-dir --json --help --usage --version"
    local command
    [[ $previous == "=" ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    [[ $current == "=" ]] && current=
    COMPREPLY=()
    case $previous in
        -d | --data-dir)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return
            ;;
        --status)
            mapfile -t COMPREPLY < <(compgen -W "$statuses" -- "$current")
            return
            ;;
        --saga | --step | --since | --until | --key | --limit | --at | --rate)
            return
            ;;
    esac
    command=$(_sagalog_command)
    case $command in
        list)
            options+=" --status --saga --step --since --until --key --attention --limit --secrets"
            ;;
        show)
            options+=" --payloads --secrets"
            ;;
        state)
            options+=" --at --secrets"
            ;;
        tail)
            options+=" --follow --saga --limit --secrets"
            ;;
        backup)
            options+=" --rate"
            ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    case $command in
        "")
            mapfile -t COMPREPLY < <(compgen -W \
                "list show explain state tail verify stats export import backup restore" -- "$current")
            ;;
        show | explain | state)
            mapfile -t COMPREPLY < <(compgen -W "$(_sagalog_ids)" -- "$current")
            ;;
        import | backup | restore)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
    esac
}

complete -F _sagalog sagalog
