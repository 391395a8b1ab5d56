# Completions of looop for bash. Made from its table of verbs by `looop config bash`; do not edit.
# Source it, or keep it as ~/.local/share/bash-completion/completions/looop.

_looop_takes() { # what these words take; fails where there is no such verb
  options=() arguments=()
  case $1 in
    '') options=(-h,--help -v,--version) arguments=(%verb) ;;
    goal) arguments=(%goal-action) ;;
    cost) options=('--by=day|kind|runner|goal|model' --rows --json -h,--help) arguments=('today|week|month|all|%cost-action') ;;
    sensor) arguments=(%sensor-action) ;;
    config) arguments=(%config-action) ;;
    service) arguments=(%service-action) ;;
    up) options=(-w,--watch --json -h,--help) ;;
    down) options=(--workers --json -h,--help) ;;
    tick) options=(--wait= '--dry-run:=show|decide' '--runner=auto|@runner' --json -h,--help) ;;
    run) options=(--wait= '--dry-run:=show|decide' '--runner=auto|@runner' --json -h,--help) arguments=(@goal) ;;
    goals) options=(--json -h,--help) ;;
    'goal add') options=(-h,--help) arguments=(- - ...) ;;
    'goal edit') options=(-h,--help) arguments=(@goal) ;;
    'goal keep') options=(-h,--help) arguments=(@goal) ;;
    'goal done') options=(-h,--help) arguments=(@goal) ;;
    'goal show') options=(-h,--help) arguments=(@goal) ;;
    asks) options=(--wait:= --json -h,--help) arguments=(@ask) ;;
    answer) options=(--any --force -h,--help) arguments=(@question - ...) ;;
    approve) options=(-e,--edit --force --always:= -h,--help) arguments=(@proposal -) ;;
    reject) options=(--force -h,--help) arguments=(@ask - ...) ;;
    why) options=(--json -h,--help) arguments=('last|now|@run') ;;
    history) options=(-n,--limit= --json -h,--help) ;;
    gate) options=(--json -h,--help) arguments=(-) ;;
    replay) options=(--json -h,--help) arguments=('last|@run') ;;
    pause) options=(--until= -h,--help) arguments=(- ...) ;;
    resume) options=(-h,--help) ;;
    start-session) options=(--command=@command --cwd=@folder --size= --verify=@command --json -h,--help) arguments=(- - @runner-interactive) ;;
    ls) options=(-w,--watch --interval= -a,--all --json -h,--help) ;;
    attach) options=(--read-only -h,--help) arguments=(@worker-alive) ;;
    detach) options=(-h,--help) arguments=(@session-alive) ;;
    watch) options=(--json -h,--help) arguments=(@session) ;;
    log) options=(--tail= --grep= --since= --raw -f,--follow --json -h,--help) arguments=(@session) ;;
    shot) options=(--plain --ansi --json --svg --trim --scrollback= -h,--help) arguments=(@session) ;;
    render) options=(--size= --plain --ansi --json --svg --trim --scrollback= --replies -h,--help) arguments=(@file) ;;
    send) options=(-n,--no-enter --raw --json -h,--help) arguments=(@worker-alive - ...) ;;
    key) options=(--json -h,--help) arguments=(@worker-alive 'Enter|Tab|Esc|Space|BSpace|Up|Down|Left|Right|Home|End|Ins|Del|PgUp|PgDn|C-c|C-d|F1|F2|F3|F4|F5|F6|F7|F8|F9|F10|F11|F12' ...) ;;
    expect) options=(--timeout= --from-now --since= --raw --screen --json -h,--help) arguments=(@session -) ;;
    wait) options=(--timeout= -h,--help) arguments=(@session) ;;
    wait-idle) options=(--settle= --timeout= --screen --ignore= -h,--help) arguments=(@session) ;;
    resize) options=(--json -h,--help) arguments=(@worker-alive -) ;;
    restart) options=(--fresh --json -h,--help) arguments=(@worker) ;;
    kill) options=(--json -h,--help) arguments=(@worker-lasting) ;;
    flag) options=(-h,--help) arguments=(@worker - ...) ;;
    unflag) options=(-h,--help) arguments=(@worker-flagged) ;;
    ask) options=(--option+= --ref=@file --session=@worker-alive --timeout= -h,--help) arguments=(-) ;;
    claim) options=(--ttl= --session=@worker-alive -h,--help) arguments=(-) ;;
    unclaim) options=(-h,--help) arguments=(@claim) ;;
    claims) options=(--json -h,--help) ;;
    prune) options=(--dry-run --json -h,--help) ;;
    status) options=(--json -h,--help) ;;
    doctor) options=(--ask --json -h,--help) ;;
    'cost add') options=(-h,--help) arguments=('tick|goal|session' @payer @runner unknown) ;;
    'sensor list') options=(--json -h,--help) ;;
    'sensor show') options=(--json -h,--help) arguments=(@sensor) ;;
    'sensor test') options=(--json -h,--help) arguments=(@sensor) ;;
    'sensor add') options=(--name= --keep --json -h,--help) arguments=(%gallery @file ...) ;;
    'sensor edit') options=(-h,--help) arguments=(@sensor) ;;
    'sensor trust') options=(--script --no -h,--help) arguments=(@sensor) ;;
    'sensor remove') options=(-h,--help) arguments=(@sensor) ;;
    setup) options=(-h,--help) ;;
    init) options=(-h,--help) arguments=('auto|@runner') ;;
    'config path') options=(-h,--help) ;;
    'config show') options=(-h,--help) ;;
    'config check') options=(-h,--help) ;;
    'service install') options=(--every= -y,--yes -h,--help) arguments=('systemd|launchd|cron') ;;
    'service uninstall') options=(-y,--yes -h,--help) arguments=('systemd|launchd|cron') ;;
    'service status') options=(--json -h,--help) ;;
    'service print') options=(--every= -h,--help) arguments=('systemd|launchd|cron') ;;
    version) options=(-h,--help) ;;
    _cost) options=(-h,--help) arguments=('tick|goal|session' @payer @runner unknown) ;;
    _pulse) options=(-h,--help) ;;
    _fmt) options=(-h,--help) ;;
    _hook) options=(-h,--help) arguments=(-) ;;
    _complete) options=(-h,--help) arguments=('goal|sensor|session|session-alive|worker|worker-alive|worker-lasting|worker-flagged|payer|ask|question|proposal|run|claim|runner|runner-interactive') ;;
    'config bash') options=(-h,--help) ;;
    'config zsh') options=(-h,--help) ;;
    'config fish') options=(-h,--help) ;;
    'help goal') options=(--man --skill -h,--help) arguments=(%goal-action) ;;
    'help cost') options=(--man --skill -h,--help) arguments=(%cost-action) ;;
    'help sensor') options=(--man --skill -h,--help) arguments=(%sensor-action) ;;
    'help config') options=(--man --skill -h,--help) arguments=(%config-action) ;;
    'help service') options=(--man --skill -h,--help) arguments=(%service-action) ;;
    help) options=(--man --skill -h,--help) arguments=(%verb) ;;
    *) return 1 ;;
  esac
}

_looop_list() {
  case $1 in
    verb) list=(up down tick run goals goal asks answer approve reject why history gate replay pause resume start-session ls attach detach watch log shot render send key expect wait wait-idle resize restart kill flag unflag ask claim unclaim claims prune status doctor cost sensor setup init config service version _cost _pulse _fmt _hook _complete help) ;;
    gallery) list=(today git github-prs github-issues github-ci linear grafana http disk nagios) ;;
    goal-action) list=(add edit keep done show) ;;
    cost-action) list=(add) ;;
    sensor-action) list=(list show test add edit trust remove) ;;
    config-action) list=(path show check bash zsh fish) ;;
    service-action) list=(install uninstall status print) ;;
  esac
}

_looop_option() { # find an option by one of its names: sets names, takes (=, :=, += or nothing) and value
  local option
  for option in ${options[@]+"${options[@]}"}; do
    names=${option%%=*} takes='' value=''
    if [[ $option == *=* ]]; then
      takes='=' value=${option#*=}
      case $names in *[:+]) takes=${names:${#names}-1}= names=${names%?} ;; esac
    fi
    [[ ,$names, != *",$1,"* ]] || return 0
  done
  return 1
}

_looop_offer() { # words that begin like what is typed; the verbs of scripts only where a _ is
  local word
  for word; do
    [[ $word != "$cur"* || ($word == _* && $cur != _*) ]] || COMPREPLY+=("$prefix$word")
  done
}

_looop_ask() { # what looop knows of a kind: lines that hold an id, and what it is after a TAB; nothing else is taken
  local program=${words[0]} word line
  case $program in '~/'*) program=$HOME/${program#'~/'} ;; esac
  type -P -- "$program" >/dev/null || program=looop
  while IFS=$'\t' read -r word line; do
    case $word in '' | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*) ;; *) _looop_offer "$word" ;; esac
  done <<<"$("$program" _complete "$1" 2>/dev/null </dev/null)"
  compopt -o nosort 2>/dev/null || : # in the order of looop, where bash is new enough
}

_looop_paths() { # by bash itself where it can, else by hand, as in bash 3.2: $1 its option, $2 that of compgen
  local word
  [[ -z $prefix ]] && compopt -o "$1" 2>/dev/null && return
  while IFS= read -r word; do
    printf -v word %q "$word"
    [[ -z $word || $word == "''" ]] || COMPREPLY+=("$prefix$word")
  done <<<"$(compgen "$2" -- "$cur")"
}

_looop_value() { # what stands in a row: words, lists and kinds
  local IFS='|' one list
  for one in $1; do
    list=()
    case $one in
      -) ;;
      @file) _looop_paths default -f ;;
      @folder) _looop_paths dirnames -d ;;
      @command) _looop_paths nothing -c ;;
      @*) _looop_ask "${one#@}" ;;
      %*) _looop_list "${one#%}" && _looop_offer ${list[@]+"${list[@]}"} ;;
      *) _looop_offer "$one" ;;
    esac
  done
}

_looop_options() { # the options that were not given yet
  local option name IFS=' '
  for option in ${options[@]+"${options[@]}"}; do
    option=${option%%=*}
    option=${option%[:+]}
    [[ $seen != *" $option "* ]] || continue
    case $option in *,*) _looop_offer "${option%,*}" ;; esac
    _looop_offer "${option#*,}"
  done
}

_looop() {
  local IFS=$' \t\n' cur=${COMP_LINE:0:COMP_POINT} prefix='' rest word i
  local at=1 count=0 ended='' expected='' seen=' ' names='' takes='' value=''
  local -a words options arguments
  words=() COMPREPLY=()
  # COMP_WORDS are cut at = and : too; here they are put together again, as they stand between blanks
  for ((i = 0; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    rest=${cur#"${cur%%[![:space:]]*}"}
    if [[ $rest == "$cur" && ${#words[@]} -gt 1 ]]; then
      words[${#words[@]}-1]+=$word
    else
      words[${#words[@]}]=$word
    fi
    cur=${rest#"$word"}
  done
  rest=${cur#"${cur%%[![:space:]]*}"}
  if [[ $rest == "$cur" && ${#words[@]} -gt 1 ]]; then
    ((i = ${#words[@]} - 1))
    rest=${words[i]}$rest
    unset "words[i]"
  fi
  cur=$rest
  case $cur in [\"\']*) cur=${cur#?} ;; esac # what is open stays open: bash puts it back

  if [[ ${#words[@]} -gt 2 ]] && _looop_takes "${words[1]} ${words[2]}"; then
    at=3
  elif [[ ${#words[@]} -gt 1 ]]; then
    _looop_takes "${words[1]}" || return 0
    at=2
  else
    _looop_takes ''
  fi
  for ((i = at; i < ${#words[@]}; i++)); do
    word=${words[i]}
    if [[ -n $expected ]]; then
      expected=''
    elif [[ -n $ended || $word != -?* ]]; then
      ((count += 1))
    elif [[ $word == -- ]]; then
      ended=yes
    elif _looop_option "${word%%=*}"; then
      [[ $takes == += ]] || seen+="$names "
      [[ -z $takes || $takes == := || $word == --*=* ]] || expected=$value=
    fi
  done

  if [[ -n $expected ]]; then
    _looop_value "${expected%=}"
  elif [[ -z $ended && $cur == --*=* ]]; then
    if _looop_option "${cur%%=*}" && [[ -n $takes ]]; then
      [[ $COMP_WORDBREAKS == *=* ]] || prefix=${cur%%=*}=
      cur=${cur#*=}
      _looop_value "$value"
    fi
  elif [[ -z $ended && $cur == -* ]]; then
    _looop_options
  else
    i=${#arguments[@]}
    if ((i > 1)) && [[ ${arguments[i - 1]} == ... ]] && ((count > i - 2)); then
      count=$((i - 2))
    fi
    if ((count < i)); then
      _looop_value "${arguments[count]}"
    elif [[ -z $ended$cur ]]; then
      _looop_options
    fi
  fi
}

complete -F _looop looop looop.py
