#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets up, builds and trains examples/mnist_stn, then says where its pictures are. Options go to the program.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
install_packages
build mnist_stn
out=out/mnist_stn
mkdir -p "$out"
exec build/examples/mnist_stn/mnist_stn --distort rotate --widen 6 --epochs 12 --out "$out" "$@"
