# fish completion for sagalog(1)

set -l commands list show explain state tail verify stats export import backup restore
set -l statuses running compensating parked quarantined completed compensated \
    completed_manually compensated_manually inconsistent

# The ids of the newest sagas, as tables show them.
function __sagalog_ids
    set -l words (commandline -opc)
    for i in (seq (count $words))
        if contains -- $words[$i] -d --data-dir; and set -q words[(math $i + 1)]
            sagalog --data-dir $words[(math $i + 1)] list --limit 50 2>/dev/null |
                string replace -r ' .*' '' | tail -n +2
            return
        end
    end
end

complete -c sagalog -f
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a list -d 'A line per saga'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a show -d 'The story of one saga'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a explain -d 'Where a saga stands'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a state -d 'All that is known of a saga'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a tail -d 'The latest records'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a verify -d 'Checks every record'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a stats -d 'Counts'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a export -d 'All as lines of JSON'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a import -d 'Makes a log of an export'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a backup -d 'The whole log, to a file'
complete -c sagalog -n "not __fish_seen_subcommand_from $commands" -a restore -d 'Makes a log of a backup'
complete -c sagalog -n "__fish_seen_subcommand_from show explain state" -a '(__sagalog_ids)'
complete -c sagalog -n "__fish_seen_subcommand_from import backup restore" -F
complete -c sagalog -n "__fish_seen_subcommand_from backup" -l rate -x -d 'Bytes a second at the most'
complete -c sagalog -s d -l data-dir -x -a '(__fish_complete_directories)' -d 'The data directory'
complete -c sagalog -s j -l json -d 'Print JSON'
complete -c sagalog -n "__fish_seen_subcommand_from tail" -s f -l follow -d 'Go on as records are written'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l status -x -a "$statuses" -d 'Only this status'
complete -c sagalog -n "__fish_seen_subcommand_from list tail" -l saga -x -d 'Only this definition'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l step -x -d 'Only at this step now'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l since -x -d 'Started then or later'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l until -x -d 'Started before then'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l key -x -d 'Started by this key'
complete -c sagalog -n "__fish_seen_subcommand_from list" -l attention -d 'Waiting for a person'
complete -c sagalog -n "__fish_seen_subcommand_from list tail" -l limit -x -d 'At most so many'
complete -c sagalog -n "__fish_seen_subcommand_from show" -l payloads -d 'With the whole payloads'
complete -c sagalog -n "__fish_seen_subcommand_from state" -l at -x -d 'When this record was the last'
complete -c sagalog -n "__fish_seen_subcommand_from list show state tail" -l secrets -d 'Mask nothing'
complete -c sagalog -l help -d 'Say what there is'
complete -c sagalog -l usage -d 'Say it in short'
complete -c sagalog -l version -d 'Say which version it is'
