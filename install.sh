#!/bin/sh
trap 'printf "%s\n" "looop install: this script was cut short, nothing was installed: fetch it again" >&2; exit 1' EXIT
# Install looop, one executable file, for whoever calls this: `curl -fsSL ADDRESS/install.sh | sh`, or in a checkout
# `sh install.sh`. No rc file is edited: what is missing there is said.
#
#   1. Find Python 3.9 or newer, before anything is fetched.
#   2. Get looop.sha256 and looop into a scratch folder: from an address, or built from the checkout this lies in.
#      The checksum comes first: where the installed file has it, there is nothing to do. It shows that the download is
#      whole; who made the file only LOOOP_SHA256 can say, which comes another way.
#   3. Refuse what has no checksum or another one, and what does not run.
#   4. Move it into place in one step; then completions and man page, which the program itself prints; then remember
#      the interpreter, so that a start does not pass through the shims of a version manager.
#
# Nothing happens outside functions, and the last line calls main: a script that was cut on its way runs nothing. So no
# function has the name of a command: a cut behind the name would call that. The trap above tells it, and fails; a cut
# before the trap is silent.

# Where releases lie. `build_zipapp.py --base-url` writes it into the install.sh of a release; a checkout has none.
DEFAULT_BASE_URL=''

print_help() {
  cat <<'END'
Install looop: one file, for Python 3.9 or newer, with its completions for bash,
zsh and fish and its man page.

Usage: sh install.sh [--version X] [--dry-run]
       sh install.sh --uninstall [--dry-run]

  --version X   that version, not the newest
  --dry-run     write and fetch nothing, say what would be done
  --uninstall   remove what this installed; data and config stay
  --help        this

Environment:
  LOOOP_INSTALL_DIR   where to (default: ~/.local/bin)
  LOOOP_BASE_URL      the address that holds looop and looop.sha256 (https)
  LOOOP_SHA256        the SHA-256 that looop must have, from whom you trust
  LOOOP_PYTHON        the Python to try first

In a checkout, without LOOOP_BASE_URL, it builds that and needs no network.
The second time it does nothing.
Exit codes: 0 done, 1 failed, 2 usage.
END
}

tell() {
  printf '%s\n' "$*"
}

warn() {
  printf 'looop install: %s\n' "$*" >&2
}

fail() {
  warn "$*"
  exit 1
}

misuse() {
  warn "$*"
  exit 2
}

# The last line of what went wrong, as the command that failed said it.
reason() {
  last=$(sed -n '$p' "$scratch/why" 2>/dev/null) || last=''
  tell "${last:-no reason was given}"
}

clean_up() {
  [ -z "$temporary" ] || rm -f "$temporary"
  [ -z "$scratch" ] || rm -rf "$scratch"
}

# --- the command line, and where things lie

read_options() {
  action=install version='' dry=''
  while [ $# -gt 0 ]; do
    case $1 in
      --uninstall) action=uninstall ;;
      --dry-run) dry=yes ;;
      --version=*) read_version "${1#*=}" ;;
      --version)
        [ $# -gt 1 ] || misuse "--version: needs a value: say --version 1.2.3"
        read_version "$2"
        shift
        ;;
      -h | --help)
        print_help
        exit 0
        ;;
      *) misuse "$1: no such option: --help lists them" ;;
    esac
    shift
  done
  [ "$action" = install ] || [ -z "$version" ] || misuse "--version: goes with no --uninstall: leave it out"
}

read_version() {
  version=${1#v}
  case $version in
    '' | .* | *[!0-9A-Za-z.+-]*) misuse "--version: '$1' is not a version: say --version 1.2.3" ;;
  esac
}

# The first of two folders if it is absolute, else the second: relative XDG paths are to be ignored.
base_folder() {
  case $1 in
    /*) tell "${1%/}" ;;
    *) tell "$2" ;;
  esac
}

name_places() {
  case ${HOME:-} in
    /*) ;;
    *) fail "HOME: is not an absolute path: set it to the folder to install below" ;;
  esac
  folder=${LOOOP_INSTALL_DIR:-$HOME/.local/bin}
  case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
  esac
  [ "$folder" = / ] || folder=${folder%/}
  target=${folder%/}/looop
  shared=$(base_folder "${XDG_DATA_HOME:-}" "$HOME/.local/share")
  cache=$(base_folder "${XDG_CACHE_HOME:-}" "$HOME/.cache")
  remembered=$cache/looop/python
  shell=${SHELL:-sh}
  shell=${shell##*/}
}

# Where a shell, or man, looks for what is said of looop.
page_path() {
  case $1 in
    bash) # the variable may name several folders, as PATH does, and the first one is looked into first
      user=${BASH_COMPLETION_USER_DIR:-}
      tell "$(base_folder "${user%%:*}" "$shared/bash-completion")/completions/looop"
      ;;
    zsh) tell "$shared/zsh/site-functions/_looop" ;;
    # Not ~/.config/fish/completions: that belongs to the person, often to their dotfiles, and goes before this one.
    fish) tell "$shared/fish/vendor_completions.d/looop.fish" ;;
    man) tell "$shared/man/man1/looop.1" ;;
  esac
}

page_name() {
  case $1 in
    man) tell "man page" ;;
    *) tell "completions for $1" ;;
  esac
}

# --- Python

# Runs on any Python since 2.6, and without what is installed for it. What is remembered is the real binary, not a shim,
# and for a virtual environment what that was made from: environments come and go.
ASK_PYTHON='
import os, sys
path = sys.executable or ""
base = os.path.join(getattr(sys, "base_prefix", sys.prefix), "bin", "python%d.%d" % sys.version_info[:2])
if os.path.exists(os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")) and os.access(base, os.X_OK):
    path = base
fit = sys.version_info >= (3, 9) and path.startswith("/") and "\n" not in path
print("%s %d.%d %s" % (("fit" if fit else "unfit",) + sys.version_info[:2] + (path,)))
'

# Sets `python` to the first one that will do, or to nothing; `seen` says what else was found on the way.
find_python() {
  python='' seen=''
  for name in "${LOOOP_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
    [ -n "$name" ] || continue
    command -v "$name" >/dev/null 2>&1 || continue
    answer=$("$name" -S -E -s -c "$ASK_PYTHON" 2>/dev/null) || answer=''
    case $answer in
      'fit '*)
        answer=${answer#fit }
        python=${answer#* }
        return
        ;;
      'unfit '*)
        answer=${answer#unfit }
        seen="$seen${seen:+, }$name is Python ${answer%% *} (${answer#* })"
        ;;
      *) seen="$seen${seen:+, }$name does not run" ;;
    esac
  done
}

demand_python() {
  find_python
  [ -n "$python" ] || fail "python: looop needs Python 3.9 or newer, and ${seen:-no python3 is on PATH}:" \
    "install one (apt install python3, brew install python), or name one with LOOOP_PYTHON=PATH"
  [ -z "${LOOOP_PYTHON:-}" ] || command -v "$LOOOP_PYTHON" >/dev/null 2>&1 || seen="$LOOOP_PYTHON is not found"
  [ -z "${LOOOP_PYTHON:-}" ] || [ -z "$seen" ] || warn "LOOOP_PYTHON: $seen: $python is taken"
}

sum_of() {
  "$python" -SI -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1" \
    2>/dev/null
}

same_file() {
  "$python" -SI -c 'import os, sys; sys.exit(not os.path.samefile(*sys.argv[1:]))' "$1" "$2" 2>/dev/null
}

# --- getting the file

# Tell whether an http address is of this machine. Over any other, whoever is in between replaces file and checksum.
is_loopback() {
  place=${1#http://}
  place=${place%%[/?#]*}
  case $place in
    '[::1]' | localhost) return 0 ;;
    '[::1]:'* | localhost:* | 127.*:*)
      case ${place##*:} in
        *[!0-9]*) return 1 ;;
      esac
      place=${place%:*}
      ;;
  esac
  case $place in
    '[::1]' | localhost) return 0 ;;
    *[!0-9.]*) return 1 ;;
    127.*.*.*) return 0 ;;
  esac
  return 1
}

# Sets `base`, the address of the files, or `checkout`; and `pinned`, the SHA-256 that the file must have, or nothing.
choose_source() {
  pinned=${LOOOP_SHA256:-}
  case $pinned in
    *[!0-9a-f]*) fail "LOOOP_SHA256: is not a SHA-256: 64 of 0-9 and a-f" ;;
  esac
  [ -z "$pinned" ] || [ "${#pinned}" -eq 64 ] || fail "LOOOP_SHA256: is not a SHA-256: 64 of 0-9 and a-f"
  checkout='' base=${LOOOP_BASE_URL:-$DEFAULT_BASE_URL}
  base=${base%/}
  if [ -z "$base" ]; then
    find_checkout
    [ -n "$checkout" ] || fail "LOOOP_BASE_URL: is not set, and this is no checkout:" \
      "set it to the address that holds looop and looop.sha256"
    return
  fi
  case $base in
    https://?*) ;;
    http://?*)
      is_loopback "$base" ||
        fail "LOOOP_BASE_URL: $base: over http anybody in between can replace the file and its checksum: use https"
      ;;
    *) fail "LOOOP_BASE_URL: $base is not an address: it begins with https://" ;;
  esac
  [ -n "$version" ] || return 0
  case $base in
    */latest/download) base=${base%/latest/download}/download/v$version ;; # so GitHub lays out its releases
    *) base=$base/$version ;;
  esac
}

# $0 is this file only where a shell was given it by name. Read from a pipe it is the shell's own name, and what lies in
# the current folder is none of our business.
find_checkout() {
  case $0 in
    install.sh) here=. ;;
    */install.sh) here=${0%/*} ;;
    *) return 0 ;;
  esac
  for name in install.sh build_zipapp.py looop.py; do
    [ -f "$here/$name" ] || return 0
  done
  checkout=$(CDPATH='' cd -- "$here/" && pwd -P)
}

FETCH='
import shutil, sys, urllib.request
url, path = sys.argv[1:]
try:
    with urllib.request.urlopen(url, timeout=30) as answer, open(path, "wb") as file:
        if answer.geturl() != url and not answer.geturl().startswith("https:"):
            sys.exit("it leads on to %s, which is not https" % answer.geturl())
        shutil.copyfileobj(answer, file)
        if answer.length:
            sys.exit("the download was cut, %d bytes are missing" % answer.length)
except Exception as error:
    sys.exit(str(error))
'

# Fetch an address into a file with what there is. curl and Python refuse to be led on to http; wget has no option for
# that.
get_file() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --proto '=http,https' --proto-redir '=https' --retry 2 --connect-timeout 20 --speed-limit 1 \
      --speed-time 30 --max-time 900 -o "$2" "$1" 2>"$scratch/why"
  elif command -v wget >/dev/null 2>&1; then
    case $(wget --version 2>/dev/null) in
      'GNU Wget'*) wget -nv -t 3 -T 30 -O "$2" "$1" ;;
      *) wget -nv -O "$2" "$1" ;; # BusyBox's may know no timeouts
    esac 2>"$scratch/why"
  else
    "$python" -SI -c "$FETCH" "$1" "$2" 2>"$scratch/why"
  fi
}

build_checkout() {
  PYTHONDONTWRITEBYTECODE=1 "$python" "$checkout/build_zipapp.py" --only --python "$python" "$@" \
    >/dev/null 2>"$scratch/why"
}

# Sets `sum` to the SHA-256 that the file must have; from a checkout, builds the file, unless it is what is installed.
get_sum() {
  mkdir "$scratch/got"
  if [ -n "$checkout" ]; then
    if [ -x "$target" ] && build_checkout --same "$target"; then
      sum=$(sum_of "$target")
      return
    fi
    tell "building the checkout $checkout"
    build_checkout --out "$scratch/got" || fail "build_zipapp.py: $(reason): nothing was installed: fix the checkout"
  elif [ -n "$pinned" ]; then
    sum=$pinned
    return
  else
    get_file "$base/looop.sha256" "$scratch/got/looop.sha256" ||
      fail "$base/looop.sha256: $(reason): nothing is installed without its checksum: see to the address or the network"
  fi
  sum=''
  read -r sum _ <"$scratch/got/looop.sha256" || :
  case $sum in
    *[!0-9a-f]*) sum='' ;;
  esac
  [ "${#sum}" -eq 64 ] ||
    fail "${base:-$checkout}/looop.sha256: holds no SHA-256: nothing was installed: see what the address answers"
}

get_program() {
  program=$scratch/got/looop
  [ -n "$checkout" ] || get_file "$base/looop" "$program" ||
    fail "$base/looop: $(reason): nothing was installed: see to the network and call this again"
  [ -z "$pinned" ] || [ "$(sum_of "$program")" = "$pinned" ] ||
    fail "${base:-$checkout}/looop: is not the file that LOOOP_SHA256 names: nothing was installed: check the version"
  [ "$(sum_of "$program")" = "$sum" ] ||
    fail "${base:-$checkout}/looop: is not the file of its checksum: nothing was installed: call this again, and if" \
      "that does not help, tell whoever runs the address"
}

# Run a looop that may be new, in a home of its own, with the interpreter that will be remembered for it.
run_aside() {
  if [ ! -d "$scratch/cache" ]; then
    mkdir -p "$scratch/home" "$scratch/cache/looop"
    printf '%s\n' "$python" >"$scratch/cache/looop/python"
  fi
  HOME=$scratch/home XDG_CACHE_HOME=$scratch/cache XDG_CONFIG_HOME=$scratch/home/config \
    XDG_STATE_HOME=$scratch/home/state LOOOP_DATA_DIR=$scratch/home/data LOOOP_CONFIG=$scratch/home/looop.json \
    "$@" 2>"$scratch/why"
}

# Sets `told` to the version that the program tells. By way of sh: where the scratch folder lies, nothing may be
# executable.
try_program() {
  told=$(run_aside sh "$program" version) || told=''
  case $told in
    'looop '[0-9]*) told=${told#looop } ;;
    *) fail "looop: it does not run with $python: $(reason): nothing was installed: try another LOOOP_PYTHON" ;;
  esac
  [ -z "$version" ] || [ "$told" = "$version" ] ||
    fail "--version $version: ${base:-$checkout} has $told: nothing was installed: ask for that, or see to the address"
}

# --- putting files where they belong

# Refuse, before anything is fetched, a place that cannot be written.
check_folder() {
  [ ! -d "$target" ] || fail "$target: is a folder: move it away, or choose another LOOOP_INSTALL_DIR"
  [ ! -e "$target" ] || [ -f "$target" ] ||
    fail "$target: is not a regular file: move it away, or choose another LOOOP_INSTALL_DIR"
  above=$folder
  while [ ! -e "$above" ]; do
    above=${above%/*}
    [ -n "$above" ] || above=/
  done
  if [ ! -d "$above" ] || [ ! -w "$above" ] || [ ! -x "$above" ]; then
    fail "$folder: cannot be written, because of $above: choose another LOOOP_INSTALL_DIR"
  fi
}

# put_file FROM TO MODE: in one step, whoever looks, and whoever else installs. A program must be on the disk before it
# gets its name: else a power cut could leave half of it; and it must run where it lies: a file system may forbid that.
put_file() {
  [ ! -e "$2" ] || [ -f "$2" ] || return 1 # a folder, a device: not ours to replace
  temporary=${2%/*}/.looop-install.$$
  {
    mkdir -p "${2%/*}" &&
      cp "$1" "$temporary" &&
      chmod "$3" "$temporary" &&
      if [ "$3" = 755 ]; then
        "$python" -SI -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))' "$temporary"
        run_aside "$temporary" version >/dev/null
      fi &&
      mv -f "$temporary" "$2"
  } 2>"$scratch/why" || {
    rm -f "$temporary"
    temporary=''
    return 1
  }
  temporary=''
}

# Tell whether two text files are the same; one that is missing is not.
same_text() {
  [ -f "$1" ] && [ -f "$2" ] && [ "$(cat "$1")" = "$(cat "$2")" ]
}

# Have the program print a page into the scratch folder.
print_page() {
  case $1 in
    man) run_aside sh "$program" help --man >"$scratch/$1" ;;
    *) run_aside sh "$program" config "$1" >"$scratch/$1" ;;
  esac && [ -s "$scratch/$1" ]
}

# A page that fails is no reason to be without the program.
put_page() {
  path=$(page_path "$1")
  if ! print_page "$1"; then
    warn "$(page_name "$1"): looop does not print it ($(reason)): skipped"
  elif ! same_text "$scratch/$1" "$path"; then
    if put_file "$scratch/$1" "$path" 644; then
      tell "$(page_name "$1"): $path"
    else
      warn "$(page_name "$1"): $path: cannot be written: skipped"
    fi
  fi
}

remember_python() {
  printf '%s\n' "$python" >"$scratch/python"
  same_text "$scratch/python" "$remembered" && return
  if (umask 077 && mkdir -p "$cache/looop" && chmod 700 "$cache/looop") 2>/dev/null &&
    put_file "$scratch/python" "$remembered" 600; then
    tell "interpreter: $python, remembered in $remembered"
  else
    warn "$remembered: cannot be written: looop will be run by the python3 that is first on PATH"
  fi
}

# --- the looop that is there already

# What there is to be asked of its profile: prints `pulse`, `sessions`, `service`, those of them that live.
ASK_STATUS='
import json, sys
status, sessions, services = [json.loads(text or "{}") for text in sys.stdin.read().split("\0")]
if status.get("pulse", {}).get("running"):
    print("pulse")
if any(row.get("alive") for row in sessions):
    print("sessions")
if services.get("services"):
    print("service")
'

# Nothing fails over it: an old looop may be broken, or something else.
living() {
  {
    "$target" status --json 2>/dev/null || :
    printf '\0'
    "$target" ls --json 2>/dev/null || :
    printf '\0'
    [ "$action" = install ] || "$target" service status --json 2>/dev/null || :
  } | "$python" -SI -c "$ASK_STATUS" 2>/dev/null || :
}

# Sets `before`: what the new file takes the place of, in words.
look_at_old() {
  before='' alive=''
  [ -e "$target" ] || [ -L "$target" ] || return 0
  before=$("$target" version 2>/dev/null) || before=''
  case $before in
    'looop '*) alive=$(living) ;;
    *) before="what was there" ;;
  esac
  before=", in place of $before"
  [ ! -L "$target" ] || before="$before, a symlink"
}

# --- what the person has to do themselves

quoted() {
  case $1 in
    *[!0-9A-Za-z/._+-]*)
      escaped=$(tell "$1" | sed "s/'/'\\\\''/g")
      tell "'$escaped'"
      ;;
    *) tell "$1" ;;
  esac
}

advise() {
  case :$PATH: in
    *":$folder:"* | *":$folder/:"*) ;;
    *) advise_path ;;
  esac
  [ -n "$dry" ] || advise_shadow
  [ "$shell" != zsh ] || advise_fpath
  advise_manpath
}

advise_path() {
  home=${HOME%/}
  case $folder in
    "$home"/*[!0-9A-Za-z/._+-]*) line="export PATH=$(quoted "$folder"):\"\$PATH\"" ;;
    "$home"/*) line="export PATH=\"\$HOME${folder#"$home"}:\$PATH\"" ;;
    *) line="export PATH=$(quoted "$folder"):\"\$PATH\"" ;;
  esac
  case $shell in
    zsh) file=${ZDOTDIR:-$home}/.zshrc ;;
    fish)
      file=$(base_folder "${XDG_CONFIG_HOME:-}" "$home/.config")/fish/config.fish
      line="fish_add_path $(quoted "$folder")"
      ;;
    bash)
      file=$home/.bashrc
      [ "$(uname -s)" != Darwin ] || file=$home/.bash_profile # each window of a Mac is a login shell
      ;;
    *) file=$home/.profile ;;
  esac
  tell "$folder is not on your PATH. Add this line to $file:"
  tell "    $line"
}

advise_shadow() {
  rest=$PATH:
  while [ -n "$rest" ]; do
    first=${rest%%:*}
    first=${first:-.}/looop
    rest=${rest#*:}
    if [ -f "$first" ] && [ -x "$first" ]; then
      same_file "$first" "$target" ||
        warn "$first: comes before $target on PATH: remove it, or put $folder before it"
      return
    fi
  done
}

# zsh looks into no folder of the person's by itself.
advise_fpath() {
  place=$(page_path zsh)
  [ -f "$place" ] || [ -n "$dry" ] || return 0
  place=${place%/*}
  case :${FPATH:-}: in
    *":$place:"*) return ;;
  esac
  file=${ZDOTDIR:-$HOME}/.zshrc
  if grep -qs 'share/zsh/site-functions' "$file"; then
    return
  fi
  tell "zsh does not look for completions in $place. Add this line to $file, before compinit:"
  tell "    fpath=($(quoted "$place") \$fpath)"
}

# man looks into share/man beside each bin on PATH. What it looks into is known where there is a `manpath`.
advise_manpath() {
  [ -f "$(page_path man)" ] && command -v manpath >/dev/null 2>&1 || return 0
  case :$(PATH="$folder:$PATH" manpath 2>/dev/null): in
    ::) ;;
    *":$shared/man:"*) ;;
    *)
      tell "man does not look into $shared/man. This line has it do so:"
      tell "    export MANPATH=$(quoted "$shared/man"):\"\${MANPATH:-}\""
      ;;
  esac
}

# --- what is done

make_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/looop-install.XXXXXX" 2>/dev/null) ||
    fail "${TMPDIR:-/tmp}: no folder can be made there: set TMPDIR to a place that can be written"
}

say_plan() {
  if [ -n "$checkout" ]; then
    tell "would build the checkout $checkout"
  else
    [ -n "$pinned" ] || tell "would fetch $base/looop.sha256"
    tell "would fetch $base/looop if it is not what is installed"
  fi
  tell "would check its SHA-256, and run it once with $python"
  tell "would write $target"
  for kind in bash zsh fish man; do
    tell "would write $(page_path "$kind")"
  done
  [ "$(cat "$remembered" 2>/dev/null)" = "$python" ] || tell "would write $remembered: $python"
  advise
}

put_program() {
  get_program
  try_program
  look_at_old
  put_file "$program" "$target" 755 || {
    case $(reason) in
      *'ermission denied') remedy="if $folder is mounted noexec, choose another LOOOP_INSTALL_DIR" ;;
      *) remedy="make room, or choose another LOOOP_INSTALL_DIR" ;;
    esac
    fail "$target: $(reason): what was there is as it was: $remedy"
  }
  tell "installed: looop $told in $target$before"
  case $alive in
    *pulse*)
      tell "the pulse and the sessions that run go on with the old code, undisturbed;" \
        "\`looop down && looop up\` takes the new one"
      ;;
  esac
}

install_looop() {
  demand_python
  choose_source
  check_folder
  if [ -n "$dry" ]; then
    say_plan
    return
  fi
  make_scratch
  get_sum
  if [ -x "$target" ] && [ "$(sum_of "$target")" = "$sum" ]; then
    program=$target
    try_program
    tell "already installed: looop $told in $target"
  else
    put_program
  fi
  for kind in bash zsh fish man; do
    put_page "$kind"
  done
  remember_python
  advise
}

remove_file() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  if [ -n "$dry" ]; then
    tell "would remove $1"
  else
    rm -f "$1" 2>/dev/null || fail "$1: cannot be removed: see who owns the folder, and call this again"
    tell "removed $1"
  fi
}

# Sets `whose` by the file at the target: none, ours, or foreign. Ours is a file, not a link, that begins as looop does.
find_owner() {
  whose=foreign first='' second=''
  if [ ! -e "$target" ] && [ ! -L "$target" ]; then
    whose=none
  elif [ -f "$target" ] && [ ! -L "$target" ]; then
    { read -r first && read -r second; } <"$target" || :
    case $first:$second in
      '#!/bin/sh:# looop '*) whose=ours ;;
    esac
  fi
}

# While something of it runs, the program is what ends that: it is told, and nothing is removed.
refuse_living() {
  case $(living) in
    pulse*) fail "--uninstall: the pulse runs: \`looop down\` first, and call this again" ;;
    sessions*)
      remedy="\`looop down --workers\`, and \`looop kill ID\` for those of your own"
      fail "--uninstall: sessions run: $remedy, and call this again"
      ;;
    service*) fail "--uninstall: a scheduler calls looop: \`looop service uninstall\` first, and call this again" ;;
  esac
}

# A page that is not what the program prints was not written by this, or was changed since.
remove_page() {
  path=$(page_path "$1")
  remove_leftovers "${path%/*}"
  [ -f "$path" ] || return 0
  if [ ! -L "$path" ] && [ "$whose" = ours ] && [ -n "$python" ] &&
    print_page "$1" && same_text "$scratch/$1" "$path"; then
    remove_file "$path"
  else
    warn "$path: is not what looop prints, or there is no looop to print it: left: rm $(quoted "$path")"
  fi
}

# What an installation that was killed has left in a folder.
remove_leftovers() {
  for left in "$1"/.looop-install.*; do
    remove_file "$left"
  done
}

# What looop compiled for a Python that the file had nothing for.
remove_compiled() {
  [ "$whose" != foreign ] || return 0
  for left in "$cache"/looop/code-*; do
    remove_file "$left"
  done
}

say_what_stays() {
  data=${LOOOP_DATA_DIR:-$(base_folder "${XDG_STATE_HOME:-}" "$HOME/.local/state")/looop}
  config=${LOOOP_CONFIG:-$(base_folder "${XDG_CONFIG_HOME:-}" "$HOME/.config")/looop.json}
  [ ! -e "$data" ] || tell "your data stays: $data"
  [ ! -e "$config" ] || tell "your config stays: $config"
}

# The program goes last: what is cut short can be called again.
uninstall_looop() {
  find_python
  find_owner
  program=$target
  [ "$whose" != ours ] || [ -z "$python" ] || refuse_living
  [ "$whose" != none ] || tell "no looop in $folder"
  make_scratch
  for kind in bash zsh fish man; do
    remove_page "$kind"
  done
  remove_file "$remembered"
  remove_leftovers "$cache/looop"
  remove_compiled
  [ -n "$dry" ] || rmdir "$cache/looop" 2>/dev/null || :
  [ "$whose" != foreign ] || warn "$target: was not written by this: left: rm $(quoted "$target")"
  [ "$whose" != ours ] || remove_file "$target"
  remove_leftovers "$folder"
  say_what_stays
}

main() {
  set -eu
  scratch='' temporary=''
  read_options "$@"
  name_places
  trap 'clean_up' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  case $action in
    install) install_looop ;;
    uninstall) uninstall_looop ;;
  esac
}

# Whatever is called must not read the rest of a script that comes through a pipe.
{ trap - EXIT; main "$@" </dev/null; }
