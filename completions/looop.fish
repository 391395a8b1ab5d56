# Completions of looop for fish: what can follow is answered by `looop _complete`.
# Keep it as ~/.config/fish/completions/looop.fish.

function __looop_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    while string match -qr '^[A-Za-z_][A-Za-z0-9_]*=' -- $words[1] # set for this command alone
        set -e words[1]
    end
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q -- $program; or set program looop
    set -e words[1]
    set -l before (string match -r '^-[^=]*=' -- $current)
    set -l value (string replace -r '^-[^=]*=' '' -- $current)
    for line in (command $program _complete -- $words "$current" 2>/dev/null </dev/null)
        switch $line
            case :file
                __fish_complete_path "$value" | string replace -r '^' -- "$before"
            case :folder
                __fish_complete_directories "$value" '' | string replace -r '^' -- "$before"
            case :command
                complete -C "$value"
            case '*'
                string match -r '^(?!-[^-].)[A-Za-z0-9._=:-]+(?:\t.*)?$' -- $line # an id, or an option
        end
    end
end

for name in looop looop.py
    complete -c $name -f -k -a '(__looop_complete)'
end
