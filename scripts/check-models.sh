#!/usr/bin/env bash
# Explores every interleaving of the wake-up protocols' models with SPIN (a minute or two, 2 GB): the protocols keep their
# claims, and the variants that are known to be wrong break them, or the models would prove nothing.
#   scripts/check-models.sh
set -euo pipefail
models=$(cd "$(dirname "$0")/../src/ipc/models" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
worst=0

# explore holds|breaks MODEL -DVARIANT...
explore() {
  local expected=$1 model=$2 found=holds
  shift 2
  # The C preprocessor, not spin's -D: it also drops what a variant leaves out.
  cpp -P "$@" "$models/$model.pml" >"$model.pml"
  spin -a "$model.pml"
  gcc -O2 -w -DMEMLIM=2048 -DSAFETY -o pan pan.c
  ./pan -m1000000 >log
  if grep -q 'assertion violated' log; then
    found=breaks
  elif ! grep -q 'errors: 0' log || grep -qE 'max search depth too small|reached -DMEMLIM|out of memory' log; then
    found="search failed"
  fi
  local states
  states=$(awk '/states, stored/ {print $1; exit}' log)
  printf '%-10s %-48s %-8s (expected: %s), %s states\n' "$model" "$*" "$found" "$expected" "$states"
  [[ "$found" == "$expected" ]] || { worst=1; cat log; }
}

explore holds futex -DSLEEPERS=1 -DMESSAGES=4
explore holds futex -DSLEEPERS=2 -DMESSAGES=3
explore breaks futex -DSLEEPERS=1 -DMESSAGES=4 -DCLEARED
for second_look in -DTAKE -DREST; do
  explore holds doorbell -DMOST=1 "$second_look"
  explore holds doorbell -DMOST=4 "$second_look"
done
explore holds doorbell -DADDERS=3 -DROUNDS=1
explore breaks doorbell -DSUMMARY_FIRST
explore breaks doorbell -DLOOK_FIRST
explore holds room
explore breaks room -DFORGET
explore breaks room -DSTOLEN
exit "$worst"
