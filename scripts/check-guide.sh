#!/usr/bin/env bash
# What the guide shows of `rtc plan` is what the program prints: every line of the block, in the file's words.
#   scripts/check-guide.sh RTC
set -euo pipefail
cd "$(dirname "$0")/.."
printed=$("$1" plan examples/plan.toml || [ $? -eq 1 ])
shown=$(sed -n '/^\$ rtc plan examples\/plan.toml$/,/^```$/p' docs/guide/plan.md | grep -vxF -e '$ rtc plan examples/plan.toml' -e '```' -e '  ...' -e '')
[ "$(wc -l <<<"$shown")" -gt 30 ]
while IFS= read -r line; do
  grep -qxF -e "$line" <<<"$printed" || { echo "docs/guide/plan.md shows what rtc plan does not print: $line"; exit 1; }
done <<<"$shown"
