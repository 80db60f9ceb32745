#!/usr/bin/env bash
# Installs the library into a temporary prefix and builds programs against it as a user would: the README's sender and
# receiver by pkg-config, all examples by find_package. usage: install_test.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source=$1 build=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --component library --prefix "$prefix/usr" >/dev/null
echo "installed:"; (cd "$prefix/usr" && find . -type f -o -type l | sort)

# 1. Every public header stands alone, without the tree.
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix/usr" -name rtchan.pc)")
read -ra flags <<<"$(pkg-config --cflags rtchan)"
for header in "$prefix"/usr/include/rtchan/*.hpp; do
  echo "#include <rtchan/$(basename "$header")>" | g++ -std=c++23 -Wall -Wextra -Wpedantic -Werror "${flags[@]}" -fsyntax-only -x c++ -
done
echo '#include <rtchan/rtc.h>' | gcc -std=c99 -Wall -Wextra -Wpedantic -Werror "${flags[@]}" -fsyntax-only -x c -

# 2. The README's programs, as printed there.
awk -v out="$prefix/readme_" '/^```cpp/{n++; on=1; next} /^```/{on=0} on{print > (out n ".cpp")}' "$source/README.md"
read -ra libs <<<"$(pkg-config --libs rtchan)"
for program in "$prefix"/readme_*.cpp; do
  lines=$(grep -c . "$program")
  ((lines <= 12)) || { echo "README program has $lines lines"; exit 1; }
  g++ -std=c++23 -Wall -Wextra "${flags[@]}" "$program" -o "${program%.cpp}" "${libs[@]}"
done
[[ -x $prefix/readme_1 && -x $prefix/readme_2 ]] || { echo "README.md shows no sender and receiver"; exit 1; }

# 3. The examples, by find_package.
cmake -S "$source/examples" -B "$prefix/examples" -DCMAKE_PREFIX_PATH="$prefix/usr" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$prefix/examples" >/dev/null

# 4. They run: without a daemon the answer names it.
export LD_LIBRARY_PATH RTCHAN_SOCKET=$prefix/absent.sock
LD_LIBRARY_PATH=$(dirname "$(find "$prefix/usr" -name librtchan.so)")
for program in "$prefix/readme_1 10.0.0.2:7000" "$prefix/readme_2" "$prefix/examples/sender 10.0.0.2:7000" "$prefix/examples/receiver" \
    "$prefix/examples/poll_c 7000"; do
  if said=$($program 2>&1); then echo "$program: succeeded without a daemon"; exit 1; fi
  [[ $said == *"$RTCHAN_SOCKET"* ]] || { echo "$program: $said"; exit 1; }
done

# 5. The library shows its public interface and nothing else.
shown=$(nm -D --defined-only --demangle "$LD_LIBRARY_PATH/librtchan.so" | cut -d' ' -f3- | sed 's/@.*//' |
  grep -vE '^(rtc[A-Z]|RTCHAN_0|rtchan::(name\(|(IpAddress|Endpoint|Session|Listener|Channel|SendLoan|ReceiveLoan)::))' || true)
[[ -z $shown ]] || { echo "also shown: $shown"; exit 1; }
echo "all well"
