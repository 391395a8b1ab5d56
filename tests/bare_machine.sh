#!/bin/sh
# Type both commands of the README, `./looop.py tick` and `python3 -m unittest`, on Debian machines that have next to
# nothing: a root folder that debootstrap makes, an empty HOME, a clone of what is committed here.
#
#   sh tests/bare_machine.sh         this machine's Debian and the one with the newest Python, each as root and as an
#                                    ordinary user, with python3 alone and with git: prints a line for each run
#   sh tests/bare_machine.sh quick   the newest Python's alone, as an ordinary user with python3 alone
#   sh tests/bare_machine.sh whole tests.test_load …        these tests alone, instead of all; `quick` takes names, too
#
# It needs root, debootstrap, and the package archive that apt uses here; it skips where one of them is missing. All it
# mounts, it mounts in a mount namespace that ends with the run, in a folder that it removes at its end.
set -u

NEWEST=forky # Debian's suite with the newest Python that looop runs on

skip() {
  printf 'skipped: bare machines: %s\n' "$*"
  exit 0
}

[ "$(id -u)" = 0 ] || skip "only root can make them"
for command in debootstrap unshare git apt-get; do
  command -v "$command" >/dev/null 2>&1 || skip "$command is not on PATH"
done
unshare -m -p -f --kill-child --propagation private true 2>/dev/null || skip "no namespace can be made"

# shellcheck disable=SC1091
. /etc/os-release
here=${VERSION_CODENAME:-}
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(RELEASE) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
  awk -v suite="$here" '($1 == suite || $2 == suite) && $3 == "main" { print $4; exit }')
[ -n "$mirror" ] || skip "apt has no archive for ${here:-this system}"

checkout=$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd -P)
scratch=$(mktemp -d) || exit 1
lane=''
clean_up() {
  [ -z "$lane" ] || kill "$lane" 2>/dev/null && wait
  if grep -qs " $scratch/" /proc/self/mounts; then
    printf '%s: something is still mounted there: left\n' "$scratch" >&2
  else
    rm -rf --one-file-system "$scratch"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# make SUITE: a root of its own with python3. Old releases of debootstrap do not know the newest suite by name.
make() {
  scripts=${DEBOOTSTRAP_DIR:-/usr/share/debootstrap}
  cp -R "$scripts" "$scratch/scripts-$1"
  [ -e "$scratch/scripts-$1/scripts/$1" ] || ln -s sid "$scratch/scripts-$1/scripts/$1"
  DEBOOTSTRAP_DIR=$scratch/scripts-$1 unshare -m -p -f --kill-child --propagation private \
    debootstrap --variant=minbase --include=python3 "$1" "$scratch/$1" "$mirror" >"$scratch/$1.log" 2>&1
}

# What runs in a namespace of its own, as its first process: mount what programs expect, and become somebody in a root.
# shellcheck disable=SC2016
ENTER='
root=$1 user=$2
shift 2
mount -t proc proc "$root/proc" && mount -t tmpfs -o mode=755 dev "$root/dev" || exit
while read -r name minor; do
  mknod -m 666 "$root/dev/$name" c "${minor%,*}" "${minor#*,}" || exit
done <<END
null 1,3
zero 1,5
full 1,7
random 1,8
urandom 1,9
tty 5,0
END
mkdir "$root/dev/pts" "$root/dev/shm" &&
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts" &&
  mount -t tmpfs -o mode=1777 shm "$root/dev/shm" &&
  ln -s pts/ptmx "$root/dev/ptmx" && ln -s /proc/self/fd "$root/dev/fd" || exit
exec chroot --userspec="$user:$user" "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@"
'

# within ROOT USER COMMAND…
within() {
  unshare -m -p -f --kill-child --propagation private sh -c "$ENTER" sh "$@" </dev/null
}

# try SUITE USER WITH: clone, type both commands, print how it went.
try() {
  home=$scratch/$1/home/$2-$3
  mkdir -p "$home"
  git -c safe.directory='*' clone -q "$checkout" "$home/looop" && chown -R "$2:$2" "$home" || return
  typed="cd \"\$HOME/looop\" && ./looop.py tick && python3 -m unittest $names"
  began=$(date +%s)
  if within "$scratch/$1" "$2" HOME="/home/$2-$3" LOOOP_TEST_JOBS="${LOOOP_TEST_JOBS:-}" sh -c "$typed" \
    >"$scratch/run.$1" 2>&1; then
    verdict=ok
  else
    verdict=FAILED
    : >"$scratch/failed"
  fi
  took=$(($(date +%s) - began))
  who="uid $2"
  version=$(within "$scratch/$1" 0 python3 -c 'import platform; print(platform.python_version())')
  printf '%-6s %4d s  %s, Python %s, %s, %s\n' "$verdict" "$took" "$1" "$version" "$3" "$who"
  [ "$verdict" = ok ] || { grep -A 30 -E '^(ERROR|FAIL):' "$scratch/run.$1" || cat "$scratch/run.$1"; } | sed 's/^/    /'
  rm -rf --one-file-system "$home"
}

add_git() {
  # An archive that was frozen, and a clock that is ahead, are no reason to refuse what is signed.
  install='apt-get -o Acquire::Check-Valid-Until=false update -qq && apt-get install -y -qq --no-install-recommends git'
  within "$scratch/$1" 0 DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$scratch/$1.log" 2>&1 && return
  printf 'skipped: git in %s: %s\n' "$1" "$(tail -n 1 "$scratch/$1.log")"
  return 1
}

# runs SUITE: make a root and try everything in it.
runs() {
  if ! make "$1"; then
    printf 'skipped: bare %s: debootstrap: %s\n' "$1" "$(tail -n 1 "$scratch/$1.log")"
    return
  fi
  if [ "$how" = quick ]; then
    try "$1" 12345 python3
    return
  fi
  for user in 12345 0; do
    try "$1" "$user" python3
  done
  add_git "$1" || return
  for user in 12345 0; do
    try "$1" "$user" git
  done
}

how=${1:-whole}
[ $# = 0 ] || shift
names=$*
newest=$here
[ "${ID:-}" != debian ] || newest=$NEWEST
if [ "$how" != quick ] && [ "$newest" != "$here" ]; then
  runs "$here" &
  lane=$!
fi
runs "$newest"
wait
[ ! -e "$scratch/failed" ]
