#!/usr/bin/env bash
# Measures how signalling and memory grow in the simulator, and draws it: data and pictures in docs/guide/growth.
#   tools/scale/growth.sh BUILD_DIR [PART...]     hops refresh memory draw; usually all. Some ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
scale=$1/bin/sim_scale out=docs/guide/growth
shift
parts=${*:-hops refresh memory draw}
mkdir -p "$out"
for part in $parts; do
  case $part in
    hops) for loss in 0 5; do "$scale" hops --loss $loss --channels 500 --rate 100 --plateau 5 >"$out/hops-$loss.dat"; done ;;
    refresh) for loss in 0 5; do "$scale" refresh --loss $loss --rate 1500 --plateau 30 >"$out/refresh-$loss.dat"; done ;;
    # A lease of a minute: what a link's signalling channel can list of a million at once.
    memory) "$scale" memory --loss 0 --work-ns 500 --rate 1500 --lease 60 --plateau 1 --most 1000000 >"$out/memory.dat" ;;
    draw) gnuplot -e "dir='$out'" tools/scale/growth.gp ;;
    *) echo "growth.sh: no such part: $part" >&2; exit 2 ;;
  esac
done
