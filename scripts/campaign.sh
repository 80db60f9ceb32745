#!/usr/bin/env bash
# Plays many seeds of the simulator, a chunk at a time, and goes on where it was interrupted.
#   scripts/campaign.sh BUILD_DIR [FIRST [COUNT [CHUNK]]]     usually 1, 1000000, 1000
# What is done is in BUILD_DIR/campaign, a line for each clean chunk (as `rtc sim --json` says it), by program: another build begins anew. A chunk that fails is said
# and not noted: it is played again next time. Exit status: 0 if every chunk is clean.
set -euo pipefail
build=$1
first=${2:-1} count=${3:-1000000} chunk=${4:-1000}
mkdir -p "$build/campaign"
program=$(sha256sum "$build/bin/rtc" | cut -c1-12)
done_file="$build/campaign/$program-$first-$count.jsonl"
touch "$done_file"

sums() {
  python3 - "$done_file" <<'PYTHON'
import json, sys
chunks = [json.loads(line) for line in open(sys.argv[1])]
total = lambda key: sum(chunk[key] for chunk in chunks)
seconds = total("seconds")
print(f'{total("runs")} seeds are clean: {total("node_hours"):.0f} simulated node-hours, {total("events")} events, '
      f'{total("events") / max(seconds, 1e-9):.0f} a second; {total("setups")} set-ups, {total("messages")} messages, {total("packets")} packets')
PYTHON
}

runs_of() { python3 -c 'import json, sys; print(sum(json.loads(line)["runs"] for line in open(sys.argv[1])))' "$done_file"; }

played=$(runs_of)
while ((played < count)); do
  many=$((count - played < chunk ? count - played : chunk))
  # (One seed alone would be another kind of answer.)
  if ((many == 1)); then many=2; fi
  if ! said=$("$build/bin/rtc" sim examples/sim.toml --seed $((first + played)) --seeds "$many" --json); then
    echo "$said" | python3 -c 'import json, sys
for failure in json.load(sys.stdin)["failures"]: print("seed", failure["seed"], "WRONG at", failure["wrong"][0])'
    echo "replay: rtc sim examples/sim.toml --seed SEED --trace"
    exit 1
  fi
  echo "$said" >>"$done_file"
  played=$((played + many))
  echo "$played of $count"
done
sums
