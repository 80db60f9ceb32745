#!/bin/sh
# No floating point in an admission decision: looks for its instructions in the objects (x86-64). What turns the API's rate
# into integers before any test (stages) and reads JSON (decide) may have some.
set -eu
case $(uname -m) in x86_64) ;; *) echo "not x86-64: skipped"; exit 0 ;; esac
status=0
seen=0
for object in "$@"; do
  case $object in *.cpp.o) ;; *) continue ;; esac
  case ${object##*/} in stages.cpp.o | decide.cpp.o) continue ;; esac
  seen=$((seen + 1))
  if objdump -d --no-show-raw-insn "$object" | grep -E '\s(add|sub|mul|div|ucomi|comi|sqrt)s[sd]\s|\scvtt?s[sd]2si|\scvtsi2s[sd]'; then
    echo "floating point in $object"
    status=1
  fi
done
[ "$seen" -ge 10 ] || { echo "only $seen objects looked at"; status=1; }
exit $status
