# Completions of looop for bash: what can follow is answered by `looop _complete`.
# Source it, or keep it as ~/.local/share/bash-completion/completions/looop.

_looop_paths() { # by bash itself where it can, else by hand, as in bash 3.2: $1 its option, $2 that of compgen
  local word
  [[ -z $before ]] && compopt -o "$1" 2>/dev/null && return
  while IFS= read -r word; do
    printf -v word %q "$word"
    [[ -z $word || $word == "''" ]] || COMPREPLY+=("$before$word")
  done <<<"$(compgen "$2" -- "$current")"
}

_looop() {
  local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} current before='' word meaning
  current=${line##*[[:space:]]}
  case $current in
    -*=*) # bash cuts a word at = unless it was told not to
      [[ $COMP_WORDBREAKS == *=* ]] || before=${current%%=*}=
      current=${current#*=}
      ;;
  esac
  current=${current#[\"\']} # what is open stays open: bash puts it back
  case $program in '~/'*) program=$HOME/${program#'~/'} ;; esac
  type -P -- "$program" >/dev/null || program=looop
  COMPREPLY=()
  while IFS=$'\t' read -r word meaning; do
    case $word in
      :file) _looop_paths default -f ;;
      :folder) _looop_paths dirnames -d ;;
      :command) _looop_paths nothing -c ;;
      '' | *[!A-Za-z0-9._=:-]* | -[!-]?*) ;; # neither an id nor an option
      *) [[ ${word#-*=} != "$current"* ]] || COMPREPLY+=("$before${word#-*=}") ;;
    esac
  done <<<"$("$program" _complete --line -- "$line" 2>/dev/null </dev/null)"
  case $COMP_WORDBREAKS$current in
    *:*:*) COMPREPLY=("${COMPREPLY[@]#"${current%:*}:"}") ;; # bash has cut gpu:box at the colon, too
  esac
  compopt -o nosort 2>/dev/null || : # in the order of looop, where bash is new enough
}

complete -F _looop looop looop.py
