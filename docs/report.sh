#!/usr/bin/env bash
# Make docs/report.png: the top of the page that `looop report` writes, in a headless Chromium.
# The page is looop's own. The two weeks on it are simulated (tests/simulated.py); the sensors and the workers run.
#
#     docs/report.sh [FILE [LOOOP]]     where the picture goes (else docs/report.png), and the looop that is run
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
picture=${1:-$here/docs/report.png}
looop=${2:-$here/looop.py}
size=1000,880

home=$(mktemp -d "${TMPDIR:-/tmp}/looop-report.XXXXXX")
mkdir "$home/bin"
ln -s "$looop" "$home/bin/looop"
data=$home/.local/state/looop
looop() { env -i HOME="$home" PATH="$home/bin:$PATH" TERM=xterm-256color LC_ALL=C.UTF-8 TZ="${TZ:-UTC}" looop "$@"; }
trap 'looop kill docs >/dev/null 2>&1 || true; rm -rf "$home"' EXIT

# --- a profile: three goals, five sensors, one of which fails; a beat has read them
looop init builtin >/dev/null 2>&1
looop kill setup >/dev/null 2>&1 || true
rm -f "$data"/goals/*.md "$data"/sensors/*.sh
echo 'Version 2 is released, with notes' >"$data/goals/ship-v2.md"
echo 'No issue waits for a first answer for longer than a day' >"$data/goals/triage.md"
sensor() { printf '#!/bin/sh\n%s\n' "$2" >"$data/sensors/$1.sh" && chmod 700 "$data/sensors/$1.sh"; }
sensor github-ci 'echo '\''{"signal":{"main":"success"}}'\'
sensor tests 'echo '\''{"signal":"41 of 41"}'\'
sensor git 'echo '\''{"signal":{"branch":"main","dirty":false}}'\'
sensor disk 'echo '\''{"signal":"ok"}'\'
sensor inbox 'echo "no route to host" >&2; exit 7'
looop tick >/dev/null 2>&1

# --- two weeks, up to a minute ago
PYTHONPATH=$here/tests python3 - "$data" <<'END'
import sys, time
import simulated
simulated.simulate(sys.argv[1], 13, every=300, seed=5, now=time.time() - 60)
END
looop start-session docs 'write the notes' --command 'echo "is 2.0 the name?"; sleep 600' --size 80x24 >/dev/null
looop flag docs 'is 2.0 the name? [yes|no]' >/dev/null

looop report --since 14d -o "$home/report.html" >/dev/null
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
HOME=$home "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$home/browser" --window-size="$size" --force-device-scale-factor=0.83 \
  --screenshot="$home/report.png" "file://$home/report.html" >/dev/null 2>&1
cp "$home/report.png" "$picture"
