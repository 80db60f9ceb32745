#!/bin/sh
# Instructions of an admission decision, counted by valgrind: the same on a busy machine as on an idle one. 1,000 decisions
# of the daemon's kind, of which so many in 100 ask for the true minimum; or 2 questions to the naive algorithm.
# Fails beyond the stored figures by more than the tolerance. `STORE=yes instructions.sh BUILD` writes new ones.
set -eu
build=$1
here=$(dirname "$0")
stored=$here/instructions.txt
tolerance_percent=10
status=0
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
echo "# channels, of 100 decisions so many exact: instructions a decision (x86-64, RelWithDebInfo)" >"$fresh"
for workload in "10 10" "100 10" "1000 10" "1000 100" "10000 10" "10 naive" "1000 naive"; do
  set -- $workload
  decisions=1000
  if [ "$2" = naive ]; then decisions=2; fi
  count=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
    --toggle-collect='*Stage::decide*' "$build/bench/admission_rate" "$1" "$decisions" "$2" 2>&1 >/dev/null |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
  each=$((count / decisions))
  echo "$1 $2 $each" >>"$fresh"
  before=$(sed -n "s/^$1 $2 //p" "$stored" 2>/dev/null || true)
  verdict=ok
  if [ -n "$before" ] && [ $((each * 100)) -gt $((before * (100 + tolerance_percent))) ]; then
    verdict="MORE than ${before} by over ${tolerance_percent} %"
    status=1
  fi
  echo "$1 channels, $2 (% exact): $each instructions a decision (stored: ${before:-none}) $verdict"
done
if [ "${STORE:-}" = yes ]; then cp "$fresh" "$stored"; status=0; fi
exit $status
