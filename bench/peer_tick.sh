#!/usr/bin/env bash
# A beat as one writes it in bash and jq: the peer that bench/run.py holds `looop tick` against.
#
#     peer_tick.sh DATA_DIR
#
# It takes a lock, runs sensors/*.sh one after another under a deadline, caps and keeps what each printed, canonicalises
# the signals, hashes them with PLAYBOOK and goals, compares with the hash of the last beat, and appends one event.
# Where looop would then ask an LLM, this one stores the hash and stops.
set -u -o pipefail
shopt -s nullglob
export LC_ALL=C
cap=8192

cd "$1" || exit 1
if command -v flock >/dev/null; then
  exec 9>.lock
  flock -n 9 || { echo "peer_tick: a beat is in progress" >&2; exit 1; }
else
  mkdir .lock.d 2>/dev/null || { echo "peer_tick: a beat is in progress" >&2; exit 1; }
  trap 'rmdir .lock.d' EXIT
fi

under_deadline=()
command -v timeout >/dev/null && under_deadline=(timeout -k 2 60)

event() {
  local now
  TZ=UTC0 printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1 2>/dev/null || now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  printf '{"ts":"%s","event":"%s","hash":"%s"}\n' "$now" "$1" "$2" >>events.jsonl
}

mkdir -p snapshots
: >snapshots/signals
for sensor in sensors/*.sh; do
  [[ -x $sensor ]] || continue
  name=${sensor##*/}
  reading=snapshots/${name%.sh}.json
  ${under_deadline[@]+"${under_deadline[@]}"} "./$sensor" 9>&- </dev/null 2>/dev/null | head -c $((cap + 1)) >"$reading"
  code=$?
  printf '%s ' "$name" >>snapshots/signals
  if ((code == 0)); then
    jq -cS 'if type == "object" and has("signal") then .signal else . end' "$reading" >>snapshots/signals 2>/dev/null ||
      echo '{"error":"not JSON"}' >>snapshots/signals
  else
    printf '{"error":"exit %d"}\n' "$code" >>snapshots/signals
  fi
done

if command -v sha256sum >/dev/null; then sha=(sha256sum); else sha=(shasum -a 256); fi
hash=$(cat PLAYBOOK.md goals/*.md snapshots/signals | "${sha[@]}")
hash=${hash%% *}
last=
[[ -r .hash ]] && read -r last <.hash
if [[ $hash == "$last" ]]; then
  event world_unchanged "$hash"
else
  echo "$hash" >.hash
  event changed "$hash"
fi
