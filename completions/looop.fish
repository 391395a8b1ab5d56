# Completions of looop for fish. Made from its table of verbs by `looop config fish`; do not edit.
# Keep it as ~/.config/fish/completions/looop.fish.

function __looop_takes --no-scope-shadowing # what these words take; fails where there is no such verb
    switch $argv[1]
        case ''
            set options '-h,--help'\t'show what there is to know of it' '-v,--version'\t'print the version'
            set arguments '%verb'
        case 'goal'
            set arguments '%goal-action'
        case 'cost'
            set options '--by=day|kind|runner|goal|model'\t'day (the default), kind, runner, goal or model' '--rows'\t'print the rows of the ledger instead' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments 'today|week|month|all|%cost-action'
        case 'sensor'
            set arguments '%sensor-action'
        case 'config'
            set arguments '%config-action'
        case 'service'
            set arguments '%service-action'
        case 'up'
            set options '-w,--watch'\t'and follow it' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'down'
            set options '--workers'\t'end the workers too' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'tick'
            set options '--wait='\t'wait for a beat in progress that long' '--dry-run:=show|decide'\t'show gates and prompt, write nothing; =decide also asks the runner (paid)' '--runner=auto|@runner'\t'decide with this runner, whatever the settings say' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'run'
            set options '--wait='\t'wait at most that long for a beat in progress (else: until it ends)' '--dry-run:=show|decide'\t'show gates and prompt, write nothing; =decide also asks the runner (paid)' '--runner=auto|@runner'\t'decide with this runner, whatever the settings say' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@goal'
        case 'goals'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'goal add'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '-' '-' '...'
        case 'goal edit'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@goal'
        case 'goal keep'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@goal'
        case 'goal done'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@goal'
        case 'goal show'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@goal'
        case 'asks'
            set options '--wait:='\t'wait until something is asked, no longer than DUR' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@ask'
        case 'answer'
            set options '--any'\t'take the text also when it is not one of the options' '--force'\t'replace an answer that was not read yet' '-h,--help'\t'show what there is to know of it'
            set arguments '@question' '-' '...'
        case 'approve'
            set options '-e,--edit'\t'change it first, in $VISUAL or $EDITOR; shows the difference and asks' '--force'\t'also when it would write over what was changed since' '--always:='\t'write a rule into gate.allow, too, so that such a command runs; =RULE: this' '-h,--help'\t'show what there is to know of it'
            set arguments '@proposal' '-'
        case 'reject'
            set options '--force'\t'replace an answer that was not read yet' '-h,--help'\t'show what there is to know of it'
            set arguments '@ask' '-' '...'
        case 'why'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments 'last|now|@run'
        case 'history'
            set options '-n,--limit='\t'at most that many (else 20)' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'gate'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '-'
        case 'replay'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments 'last|@run'
        case 'pause'
            set options '--until='\t'until then: 17:30, or 2026-01-02 17:30' '-h,--help'\t'show what there is to know of it'
            set arguments '-' '...'
        case 'resume'
            set options '-h,--help'\t'show what there is to know of it'
        case 'start-session'
            set options '--command=@command'\t'run this instead of a runner; then the prompt may be left out' '--cwd=@folder'\t'where it runs (else: a worker in its own work/ID/, yours here)' '--size='\t'of its terminal, until somebody looks at it [120x40]' '--verify=@command'\t'a command that tells whether the work is done' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '-' '-' '@runner-interactive'
        case 'ls'
            set options '-w,--watch'\t'again and again' '--interval='\t'with --watch, how often [2s]' '-a,--all'\t'every one that has ended, and the pulse' '--json'\t'print JSON: every session, with its folder and size' '-h,--help'\t'show what there is to know of it'
        case 'attach'
            set options '--read-only'\t'look, do not type; q leaves' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-alive'
        case 'detach'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@session-alive'
        case 'watch'
            set options '--json'\t'print JSON lines: text and offset; of the pulse, the loop\'s events' '-h,--help'\t'show what there is to know of it'
            set arguments '@session'
        case 'log'
            set options '--tail='\t'the last N lines' '--grep='\t'lines that match' '--since='\t'from this byte on; --json and send --json tell such offsets' '--raw'\t'with its escape sequences' '-f,--follow'\t'go on with what comes, until it ends' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@session'
        case 'shot'
            set options '--plain'\t'text (this is what you get anyway)' '--ansi'\t'text with its colours' '--json'\t'print JSON: lines, cursor and cells' '--svg'\t'a picture' '--trim'\t'without blank lines at the end' '--scrollback='\t'with so many lines that have scrolled away' '-h,--help'\t'show what there is to know of it'
            set arguments '@session'
        case 'render'
            set options '--size='\t'of its terminal [120x40]' '--plain'\t'text (this is what you get anyway)' '--ansi'\t'text with its colours' '--json'\t'print JSON: lines, cursor and cells' '--svg'\t'a picture' '--trim'\t'without blank lines at the end' '--scrollback='\t'with so many lines that have scrolled away' '--replies'\t'print instead what the terminal would answer, as it is' '-h,--help'\t'show what there is to know of it'
            set arguments '@file'
        case 'send'
            set options '-n,--no-enter'\t'do not press Enter' '--raw'\t'the bytes as they are, no brackets, no Enter' '--json'\t'print JSON: bytes sent, and the log\'s size before (for expect --since)' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-alive' '-' '...'
        case 'key'
            set options '--json'\t'print JSON: bytes sent, and the log\'s size before' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-alive' 'Enter|Tab|Esc|Space|BSpace|Up|Down|Left|Right|Home|End|Ins|Del|PgUp|PgDn|C-c|C-d|F1|F2|F3|F4|F5|F6|F7|F8|F9|F10|F11|F12' '...'
        case 'expect'
            set options '--timeout='\t'give up after [30s]; 0: never' '--from-now'\t'only what comes from now on' '--since='\t'from this byte of the log on' '--raw'\t'match the bytes with their escape sequences' '--screen'\t'match the screen instead' '--json'\t'print JSON: what matched, and the offset after it' '-h,--help'\t'show what there is to know of it'
            set arguments '@session' '-'
        case 'wait'
            set options '--timeout='\t'give up after; 0: never' '-h,--help'\t'show what there is to know of it'
            set arguments '@session'
        case 'wait-idle'
            set options '--settle='\t'quiet for so long [500ms]' '--timeout='\t'give up after [30s]; 0: never' '--screen'\t'no change of the screen, instead of no output' '--ignore='\t'what matches this is not a sign of life (a clock, a spinner)' '-h,--help'\t'show what there is to know of it'
            set arguments '@session'
        case 'resize'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-alive' '-'
        case 'restart'
            set options '--fresh'\t'begin anew, with the brief and a new conversation' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker'
        case 'kill'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-lasting'
        case 'flag'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@worker' '-' '...'
        case 'unflag'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@worker-flagged'
        case 'ask'
            set options '--option+='\t'an answer to choose from; may be given several times' '--ref=@file'\t'what the person should look at' '--session=@worker-alive'\t'who asks (else: the session that this runs in)' '--timeout='\t'give up after; 0: never' '-h,--help'\t'show what there is to know of it'
            set arguments '-'
        case 'claim'
            set options '--ttl='\t'let go after; 0: when the session ends' '--session=@worker-alive'\t'whose (else: the session that this runs in)' '-h,--help'\t'show what there is to know of it'
            set arguments '-'
        case 'unclaim'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@claim'
        case 'claims'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'prune'
            set options '--dry-run'\t'say which' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'status'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'doctor'
            set options '--ask'\t'make a real call of the runner, too (paid)' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'cost add'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments 'tick|goal|session' '@payer' '@runner' 'unknown'
        case 'sensor list'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'sensor show'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@sensor'
        case 'sensor test'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '@sensor'
        case 'sensor add'
            set options '--name='\t'call it so (else: the kind, and what it watches)' '--keep'\t'add it also when its first reading is an error' '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
            set arguments '%gallery' '@file' '...'
        case 'sensor edit'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@sensor'
        case 'sensor trust'
            set options '--script'\t'trust the script alone: its readings stay other people\'s words' '--no'\t'trust its readings no more; who wrote the script stays as it is' '-h,--help'\t'show what there is to know of it'
            set arguments '@sensor'
        case 'sensor remove'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '@sensor'
        case 'setup'
            set options '-h,--help'\t'show what there is to know of it'
        case 'init'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments 'auto|@runner'
        case 'config path'
            set options '-h,--help'\t'show what there is to know of it'
        case 'config show'
            set options '-h,--help'\t'show what there is to know of it'
        case 'config check'
            set options '-h,--help'\t'show what there is to know of it'
        case 'service install'
            set options '--every='\t'the time between beats (else the setting `interval`)' '-y,--yes'\t'do not ask' '-h,--help'\t'show what there is to know of it'
            set arguments 'systemd|launchd|cron'
        case 'service uninstall'
            set options '-y,--yes'\t'do not ask' '-h,--help'\t'show what there is to know of it'
            set arguments 'systemd|launchd|cron'
        case 'service status'
            set options '--json'\t'print JSON' '-h,--help'\t'show what there is to know of it'
        case 'service print'
            set options '--every='\t'the time between beats (else the setting `interval`)' '-h,--help'\t'show what there is to know of it'
            set arguments 'systemd|launchd|cron'
        case 'version'
            set options '-h,--help'\t'show what there is to know of it'
        case '_cost'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments 'tick|goal|session' '@payer' '@runner' 'unknown'
        case '_pulse'
            set options '-h,--help'\t'show what there is to know of it'
        case '_fmt'
            set options '-h,--help'\t'show what there is to know of it'
        case '_hook'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments '-'
        case '_complete'
            set options '-h,--help'\t'show what there is to know of it'
            set arguments 'goal|sensor|session|session-alive|worker|worker-alive|worker-lasting|worker-flagged|payer|ask|question|proposal|run|claim|runner|runner-interactive'
        case 'config bash'
            set options '-h,--help'\t'show what there is to know of it'
        case 'config zsh'
            set options '-h,--help'\t'show what there is to know of it'
        case 'config fish'
            set options '-h,--help'\t'show what there is to know of it'
        case 'help goal'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%goal-action'
        case 'help cost'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%cost-action'
        case 'help sensor'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%sensor-action'
        case 'help config'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%config-action'
        case 'help service'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%service-action'
        case 'help'
            set options '--man'\t'print the man page instead, for man(1)' '--skill'\t'print a SKILL.md instead, which tells an agent how to be a worker' '-h,--help'\t'show what there is to know of it'
            set arguments '%verb'
        case '*'
            return 1
    end
end

function __looop_list
    switch $argv[1]
        case 'verb'
            printf '%s\t%s\n' \
                'up' 'start the pulse: beats in the background' \
                'down' 'end the pulse; a beat in progress is undone' \
                'tick' 'run one beat: sense, diff, decide one move, act, log' \
                'run' 'force one move for a goal, now' \
                'goals' 'list the goals: what each waits for and cost' \
                'goal' 'add, edit, keep, done, show' \
                'asks' 'list what waits for your answer' \
                'answer' 'answer a question' \
                'approve' 'do what a proposal says, now and once' \
                'reject' 'refuse a proposal; the decider is told why' \
                'why' 'explain the last beat, an earlier one, or the next' \
                'history' 'list the last moves: when, why, what, the cost' \
                'gate' 'tell whether a move may run a command without a yes' \
                'replay' 'derive a run\'s hash, prompt and move again, and compare' \
                'pause' 'stop deciding and acting for a while; sensing goes on' \
                'resume' 'end a pause' \
                'start-session' 'start a worker, or any command, in a detached terminal' \
                'ls' 'list the sessions: the living, then those that ended last' \
                'attach' 'attach your terminal to a session; C-\\ C-\\ leaves it' \
                'detach' 'detach everybody from a session' \
                'watch' 'follow a session without touching it' \
                'log' 'print what a session wrote, alive or dead' \
                'shot' 'print a session\'s screen, alive or dead' \
                'render' 'show what recorded terminal output looks like' \
                'send' 'type a text into a session, and Enter' \
                'key' 'press keys in a session' \
                'expect' 'wait until a session writes what matches' \
                'wait' 'wait until a session has ended' \
                'wait-idle' 'wait until a session is quiet' \
                'resize' 'give a session\'s terminal a size that stays' \
                'restart' 'start a session again, also once it has ended: an agent goes on with its conversation' \
                'kill' 'end a session and everything that it has started' \
                'flag' 'flag a session: it needs a person' \
                'unflag' 'lower a session\'s flag' \
                'ask' 'ask the person, wait, and print the answer' \
                'claim' 'claim something for a session: no other works on it' \
                'unclaim' 'take a claim back' \
                'claims' 'list what is claimed, and by whom' \
                'prune' 'remove ended sessions now' \
                'status' 'show the last beat, workers, asks and spend' \
                'doctor' 'check what a beat needs, here and under a scheduler' \
                'cost' 'show spend and estimated savings' \
                'sensor' 'list, show, test, add, edit, trust, remove' \
                'setup' 'answer a few questions: from them come your PLAYBOOK, goals and sensors' \
                'init' 'choose the runner, write the config, make the profile' \
                'config' 'path, show, check, bash, zsh, fish' \
                'service' 'install, uninstall, status, print' \
                'version' 'print the version' \
                '_cost' 'record what a worker spent' \
                '_pulse' 'be the pulse, in the foreground' \
                '_fmt' 'pass a runner\'s JSON stream on; on a terminal, show it in words' \
                '_hook' 'take an event of the agent in a session, as JSON on stdin' \
                '_complete' 'list what a shell can complete' \
                'help' 'explain looop, or one verb'
        case 'gallery'
            printf '%s\t%s\n' \
                'today' 'the local date: wakes the loop once a day' \
                'git' 'a clone: branch, ahead and behind, how many files are dirty, stale branches' \
                'github-prs' 'pull requests: review decisions and checks; without a repository: reviews that wait for you' \
                'github-issues' 'issues that are open, with labels and assignees; without a repository: yours, wherever they are' \
                'github-ci' 'the last finished run of every workflow on a branch; without a repository: your pull requests that fail' \
                'linear' 'Linear: issues assigned to you that are not done, and their state' \
                'grafana' 'alerts that fire, in Grafana or in Prometheus\' Alertmanager' \
                'http' 'a URL: its status, and for how long its certificate is good' \
                'disk' 'how full a disk is: under or over a limit, over 95%, full' \
                'nagios' 'a plugin of the monitoring world: its exit code is the signal, its line of text the detail'
        case 'goal-action'
            printf '%s\t%s\n' \
                'add' 'write a new goal' \
                'edit' 'edit a goal in $VISUAL or $EDITOR' \
                'keep' 'take a goal that the loop wrote for your own' \
                'done' 'move a finished goal to goals/archive/' \
                'show' 'print a goal'
        case 'cost-action'
            printf '%s\t%s\n' \
                'add' 'record what a worker spent'
        case 'sensor-action'
            printf '%s\t%s\n' \
                'list' 'list the sensors with their last readings' \
                'show' 'print the last reading of a sensor' \
                'test' 'run a sensor now and show what the decider would see' \
                'add' 'try a sensor of the gallery and add it, or list them' \
                'edit' 'open a sensor in your editor, then run it once' \
                'trust' 'let a sensor run as yours, and trust its readings' \
                'remove' 'remove a sensor; git keeps its script'
        case 'config-action'
            printf '%s\t%s\n' \
                'path' 'print where the config is looked for' \
                'show' 'print the merged config: defaults, file, environment' \
                'check' 'name everything that is wrong with the config' \
                'bash' 'print the completions for bash' \
                'zsh' 'print the completions for zsh' \
                'fish' 'print the completions for fish'
        case 'service-action'
            printf '%s\t%s\n' \
                'install' 'have systemd, launchd or cron run the beat' \
                'uninstall' 'take away what `service install` wrote' \
                'status' 'tell what runs the beat by itself, and when' \
                'print' 'show what `service install` would write'
    end
end

function __looop_option --no-scope-shadowing # an option by one of its names: its first name, its mark, then its row
    for option in $options
        set -l parts (string split -m 1 = -- (string split -m 1 \t -- $option)[1])
        set -l names (string split , -- (string trim -r -c ':+' -- $parts[1]))
        if contains -- $argv[1] $names
            printf '%s\n' $names[1] (string sub -s -1 -- $parts[1])
            set -q parts[2]; and printf '%s\n' $parts[2]
            return 0
        end
    end
    return 1
end

function __looop_options --no-scope-shadowing # those that were not given yet
    for option in $options
        set -l parts (string split -m 1 \t -- $option)
        set -l names (string split , -- (string replace -r '[:+]?(=.*)?$' '' -- $parts[1]))
        contains -- $names[1] $seen; and continue
        for name in $names
            printf '%s\t%s\n' $name $parts[2]
        end
    end
end

# what looop knows of a kind: lines that hold an id, and what it is after a TAB; nothing else is taken
function __looop_ask --no-scope-shadowing
    set -l path (string replace -r '^~/' "$HOME/" -- $program)
    command -q -- $path; or set path looop
    command $path _complete $argv[1] 2>/dev/null </dev/null | string match -r '^[A-Za-z0-9][A-Za-z0-9._-]*(?:\t.*)?$'
end

function __looop_value --no-scope-shadowing # what stands in a row: words, lists and kinds; and what is typed of it
    for one in (string split '|' -- $argv[1])
        switch $one
            case '' -
            case @file
                __fish_complete_path $argv[2]
            case @folder
                __fish_complete_directories $argv[2] ''
            case @command
                complete -C "$argv[2]"
            case '@*'
                __looop_ask (string sub -s 2 -- $one)
            case '%*'
                if string match -q -- '_*' $argv[2]
                    __looop_list (string sub -s 2 -- $one)
                else # without the verbs of scripts
                    __looop_list (string sub -s 2 -- $one) | string match -v -- '_*'
                end
            case '*'
                echo $one
        end
    end
end

function __looop_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    while string match -qr '^[A-Za-z_][A-Za-z0-9_]*=' -- $words[1] # set for this command alone
        set -e words[1]
    end
    set -l program $words[1]
    set -e words[1]
    set -l options
    set -l arguments
    if test (count $words) -ge 2; and __looop_takes "$words[1] $words[2]"
        set -e words[1..2]
    else if test (count $words) -ge 1
        __looop_takes $words[1]; or return
        set -e words[1]
    else
        __looop_takes ''
    end

    set -l count 1
    set -l ended
    set -l expected
    set -l seen
    for word in $words
        if set -q expected[1]
            set expected
        else if set -q ended[1]; or not string match -q -- '-?*' $word
            set count (math $count + 1)
        else if test $word = --
            set ended yes
        else if set -l found (__looop_option (string split -m 1 = -- $word)[1])
            test $found[2] = +; or set -a seen $found[1]
            if set -q found[3]; and test $found[2] != :; and not string match -q -- '--*=*' $word
                set expected $found[3]
            end
        end
    end

    if set -q expected[1]
        __looop_value $expected $current
    else if not set -q ended[1]; and string match -q -- '--*=*' $current
        set -l parts (string split -m 1 = -- $current)
        set -l found (__looop_option $parts[1]); or return
        set -q found[3]; and __looop_value $found[3] $parts[2] | string replace -r '^' -- "$parts[1]="
    else if not set -q ended[1]; and string match -q -- '-*' $current
        __looop_options
    else
        set -l last (count $arguments)
        if test $last -gt 1; and test $arguments[-1] = ...
            set last (math $last - 1)
            test $count -gt $last; and set count $last
        end
        if test $count -le $last
            __looop_value $arguments[$count] $current
        else if test -z "$current"; and not set -q ended[1]
            __looop_options
        end
    end
end

for name in looop looop.py
    complete -c $name -f -k -a '(__looop_complete)'
end
