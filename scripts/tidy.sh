#!/usr/bin/env bash
# clang-tidy over our own sources (clang 14 rejects std::expected: version 19 it is).
#   scripts/tidy.sh BUILD_DIR JOBS
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 jobs=$2
git ls-files 'src/*.cpp' 'examples/*.cpp' | grep -v '_test\.cpp$' |
  xargs -P "$jobs" -n 4 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*'
