#!/usr/bin/env bash
# Installs the Debian packages this project needs, and only those that are missing.
#   scripts/install-deps.sh            what building, testing and the demo need (scripts/packages.txt)
#   scripts/install-deps.sh --tools    also what `make tidy` and `make fuzz` need (scripts/packages-tools.txt)
# As root it installs them; otherwise it prints the line to type. Exit status: 0 nothing is missing (any more),
# 3 something is missing and we may not install it.
#
# Written for Debian 12. Names that differ on Ubuntu 24.04 (untested):
#   libboost1.81-dev    -> libboost1.83-dev
#   g++ (12)            -> g++ (13)
# Everything in both lists but these has the same name there.
set -euo pipefail
cd "$(dirname "$0")/.."

lists=(scripts/packages.txt)
if [[ "${1:-}" == --tools ]]; then lists+=(scripts/packages-tools.txt); fi

ubuntu_name() {
  case "$1" in
    libboost1.81-dev) echo libboost1.83-dev ;;
    *) echo "$1" ;;
  esac
}

distribution=$(. /etc/os-release 2>/dev/null && echo "${ID:-}")
missing=()
while read -r package; do
  [[ -z "$package" || "$package" == \#* ]] && continue
  if [[ "$distribution" == ubuntu ]]; then package=$(ubuntu_name "$package"); fi
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ "$status" == installed ]] || missing+=("$package")
done < <(cat "${lists[@]}")

if ((${#missing[@]} == 0)); then exit 0; fi
if [[ "$(id -u)" != 0 ]]; then
  echo "Some packages are missing. Install them with:" >&2
  echo "    sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 3
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
