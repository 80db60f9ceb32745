#!/usr/bin/env bash
# Runs test stages of a build tree, each within its own time budget, and says at the end how each went.
#   scripts/run-tests.sh BUILD_DIR STAGE...      stages: fast slow lab (the labels of ctest), and of lab
#                                                the one test that a thread checker needs: threads
# A stage that exceeds its budget is ended and counts as failed. Exit status: 0 if every stage passed.
set -uo pipefail
build=$1
shift

# Seconds; the sum, with the build, stays below 40 minutes on two cores.
declare -A budget=([fast]=180 [slow]=960 [lab]=900 [threads]=60)
# Lab tests measure time: they run alone.
declare -A jobs=([fast]=2 [slow]=2 [lab]=1 [threads]=1)
# A sanitizer makes everything several times slower.
scale=1
case "$build" in *asan* | *tsan*) scale=4 ;; esac

mkdir -p "$build/test-results"
summary=()
worst=0
for stage in "$@"; do
  log="$build/test-results/$stage.log"
  start=$SECONDS
  selection=(-L "^$stage\$" --no-tests=ignore)
  if [[ $stage == threads ]]; then selection=(-L '^lab$' -R '^WorkerThreads\.' --no-tests=error); fi
  timeout --foreground --kill-after=10 $((budget[$stage] * scale)) \
    ctest --test-dir "$build" "${selection[@]}" -j "${jobs[$stage]}" --output-on-failure \
    --output-junit "test-results/$stage.xml" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  line=$(grep -E '% tests passed|No tests were found' "$log" | tail -1)
  if ((status == 124 || status == 137)); then line="exceeded its budget of $((budget[$stage] * scale)) s"; fi
  verdict=passed
  if ((status != 0)); then verdict=FAILED worst=1; fi
  summary+=("$(printf '%-5s %-7s %4d s of %4d   %s' "$stage" "$verdict" $((SECONDS - start)) $((budget[$stage] * scale)) "$line")")
done

echo
echo "== test summary ($build)"
printf '%s\n' "${summary[@]}"
exit "$worst"
