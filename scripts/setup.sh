# SPDX-License-Identifier: MIT
# Sourced by demo.sh and test.sh: installs what is missing and configures build/. Quiet about what is already there.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages="gcc libc6-dev cmake ninja-build pkg-config libsleef-dev libfftw3-dev libopenblas-dev libpng-dev zlib1g-dev
libjansson-dev libdw-dev libcriterion-dev"

test_packages="libopenmpi-dev openmpi-bin" # for the tests of data parallel training
installed=""

say() { printf '%s\n' "$*" >&2; }

install_packages() {
  command -v dpkg-query >/dev/null 2>&1 || {
    command -v cmake >/dev/null || say "This is not Debian: please install the equivalents of" $packages
    return 0
  }
  local missing="" package as_root=""
  for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { say "Missing packages; run as root: apt-get install$missing"; exit 1; }
    as_root=sudo
  fi
  say "Installing:$missing"
  installed=$missing
  local log
  log=$(mktemp)
  if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
      >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    say "The packages could not be installed."
    exit 1
  fi
  rm -f "$log"
}

# quietly LOG COMMAND...: runs the command, shows its log only when it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { tail -n 60 "$log" >&2; say "failed: $* (the whole log: $log)"; exit 1; }
}

# build TARGET...: configures build/ once and builds.
build() {
  mkdir -p build
  local jobs
  jobs=$(nproc 2>/dev/null || echo 2)
  # Once, and again when packages have come that a part was waiting for.
  [ -f build/build.ninja ] && [ -z "$installed" ] || { say "Configuring build/"; quietly build/configure.log cmake -S . -B build -G Ninja; }
  if ninja -C build -n "$@" 2>/dev/null | grep -q '^\[.*Building'; then say "Building (log: build/build.log)"; fi
  quietly build/build.log ninja -C build -j "$jobs" "$@"
}
