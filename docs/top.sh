#!/usr/bin/env bash
# Make docs/top.svg: looop top, in a looop session, over a profile in a home of its own.
#
#     docs/top.sh [FILE [LOOOP]]     where the picture goes (else docs/top.svg), and the looop that is run (else this one)
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
picture=${1:-$here/docs/top.svg}
looop=${2:-$here/looop.py}
home=$(mktemp -d "${TMPDIR:-/tmp}/looop-top.XXXXXX")
mkdir -p "$home/bin" "$home/.config" "$home/viewer"
ln -s "$looop" "$home/bin/looop"
looop() { env -i HOME="$home" PATH="$home/bin:$PATH" TERM=xterm-256color LC_ALL=C.UTF-8 TZ=UTC looop "$@"; }
viewer() { env -i HOME="$home/viewer" PATH="$home/bin:$PATH" TERM=xterm-256color LC_ALL=C.UTF-8 TZ=UTC looop "$@"; }
trap 'viewer kill top >/dev/null 2>&1; for one in fix-ci gpu-dep docs; do looop kill "$one" >/dev/null 2>&1; done; rm -rf "$home"' EXIT

# --- the stand-in for an LLM wants to push, which waits for a yes
cat >"$home/push" <<'END'
{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.0131,"result":"{\"move\":\"shell\",\"command\":\"git -C ~/shop push origin fix-ci\",\"reversible\":false,\"journal\":\"the tests are green: push fix-ci\"}"}
END
cat >"$home/.config/looop.json" <<'END'
{"git": false, "runners": {"stand-in": {"mode": "typed", "output": "claude", "tick": "cat >/dev/null; cat ~/push"}}}
END
looop init stand-in >/dev/null
data=$home/.local/state/looop
rm -rf "$data"/goals/*.md "$data"/sensors/*.sh
echo 'Version 2 is released, with notes' >"$data/goals/ship-v2.md"
echo 'Every new issue has an answer within a day' >"$data/goals/triage.md"
looop tick >/dev/null
looop tick >/dev/null

# --- workers, played by a few lines of shell
cat >"$home/tests.sh" <<'END'
printf '\033[1mmake test\033[0m\n\n'
for name in beat files goals keys moves people prompt pulse; do printf '  \033[32m✓\033[0m test_%-12s \033[2m%s passed\033[0m\n' $name $((${#name} * 7)); done
printf '  \033[31m✗ test_lease\033[0m        \033[31m1 failed\033[0m, 22 passed\n\n'
printf '\033[33m›\033[0m The lease is taken twice when the clock is set back:\n  \033[2mlooking into\033[0m \033[36mlease.py:41\033[0m\n\n'
printf '\033[44;97m tests \033[0m\033[46;30m 23/41 \033[0m ━━━━━━━━━━━━━━━━\033[2m━━━━━━━━━━━━\033[0m\n'
exec sleep 600
END
looop start-session docs "write the notes" --command 'echo no such file: notes.md; exit 3' >/dev/null
looop start-session gpu-dep "deploy" --command 'looop ask "Which branch goes to the GPU machines?" --option main --option release' >/dev/null
looop start-session fix-ci "make the tests green" --size 80x24 --command 'sh ~/tests.sh' >/dev/null
looop wait docs >/dev/null || true
looop expect fix-ci 23/41 >/dev/null
looop asks --json | grep -q GPU || looop expect gpu-dep . --timeout 5s >/dev/null || true

viewer start-session top --size 100x26 --command "env -i HOME=$home PATH=$home/bin:$PATH TERM=xterm-256color LC_ALL=C.UTF-8 TZ=UTC looop top" >/dev/null
viewer expect top 'NEEDS YOU' --screen >/dev/null
viewer key top Tab >/dev/null
viewer expect top '23/41' --screen >/dev/null
viewer shot top --svg >"$home/picture"
cp "$home/picture" "$picture"
