#!/usr/bin/env bash
# Make docs/demo.svg: type a few commands into a shell that runs in a looop session, and draw what came of it.
# Everything in the picture happens: a profile in a home of its own, a sensor that runs tests, beats, a proposal.
# The LLM alone is a stand-in: a shell line that answers with one of three prepared moves, in the shape of claude's output.
#
#     docs/demo.sh [FILE [LOOOP]]     where the picture goes (else docs/demo.svg), and the looop that is run (else this one)
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
picture=${1:-$here/docs/demo.svg}
looop=${2:-$here/looop.py}
size=90x32

home=$(mktemp -d "${TMPDIR:-/tmp}/looop-demo.XXXXXX")
mkdir "$home/bin"
ln -s "$looop" "$home/bin/looop"
looop() { env -i HOME="$home" PATH="$home/bin:$PATH" TERM=xterm-256color LC_ALL=C.UTF-8 TZ="${TZ:-UTC}" looop "$@"; }
trap 'looop kill demo >/dev/null 2>&1 || true; rm -rf "$home"' EXIT

# --- a project: three tests, one of which fails
mkdir -p "$home/shop/tests"
for name in cart login; do echo 'exit 0' >"$home/shop/tests/$name.sh"; done
echo 'echo "checkout: no total" >&2; exit 1' >"$home/shop/tests/checkout.sh"

# --- the stand-in: once the world says that all tests pass it wants to push, before that it writes a report, and waits
mkdir "$home/.config"
cat >"$home/push" <<'END'
{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.0131,"result":"{\"move\":\"shell\",\"command\":\"git -C ~/shop push origin main\",\"reversible\":false,\"journal\":\"push main\"}"}
END
cat >"$home/report" <<'END'
{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.0127,"result":"{\"move\":\"shell\",\"command\":\"for t in ~/shop/tests/*.sh; do sh $t; done > reports/shop.txt 2>&1\",\"reversible\":true,\"journal\":\"shop: checkout fails; its output is in reports/shop.txt\"}"}
END
cat >"$home/wait" <<'END'
{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.0119,"result":"{\"move\":\"noop\",\"journal\":\"the report is written; checkout is for a person\"}"}
END
cat >"$home/.config/looop.json" <<'END'
{"runners": {"stand-in": {"mode": "typed", "output": "claude", "tick": "case $(cat) in *'3 of 3'*) cat ~/push ;; *'RESULT OF THE LAST SHELL MOVE'*) cat ~/wait ;; *) cat ~/report ;; esac"}}}
END

# --- the profile: one goal, one sensor
looop init stand-in >/dev/null
data=$home/.local/state/looop
rm "$data"/goals/*.md "$data"/sensors/*.sh
echo 'Every test of ~/shop passes, and main is pushed.' >"$data/goals/green.md"
cat >"$data/sensors/tests.sh" <<'END'
#!/usr/bin/env bash
cd ~/shop/tests || exit
passed=0 all=0
for test in *.sh; do
  all=$((all + 1))
  if sh "$test" >/dev/null 2>&1; then passed=$((passed + 1)); fi
done
printf '{"signal":"%s of %s"}\n' "$passed" "$all"
END
chmod 700 "$data/sensors/tests.sh"

# --- the recording
cat >"$home/.demorc" <<'END'
PS1='\[\e[1;34m\]\w\[\e[0m\] $ '
END
looop start-session demo --size "$size" --cwd "$home" --command 'bash --rcfile ~/.demorc' >/dev/null
looop expect demo '~ \$ $' >/dev/null

type_line() { # type it, and wait for the next prompt
  local sent
  sent=$(looop send demo --json -- "$1")
  sent=${sent##*\"offset\":}
  looop expect demo --since "${sent%%[,\}]*}" '\n~ \$ $' >/dev/null
}

type_line 'cat ~/.local/state/looop/goals/green.md'
type_line 'looop tick'
type_line 'looop tick'
type_line 'looop tick'
type_line 'echo exit 0 > shop/tests/checkout.sh   # fix it'
type_line 'looop tick'
type_line 'looop asks'
type_line 'looop why now'

looop log demo --raw >"$home/recording"
looop render "$home/recording" --size "$size" --svg >"$home/picture"
cp "$home/picture" "$picture"
