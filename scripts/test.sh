#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets up, builds and runs the whole suite. Arguments go to ctest, e.g. scripts/test.sh -R conv.
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
packages="$packages $test_packages"
install_packages
build all
[ -n "${MNIST_DIR:-}" ] || say "MNIST_DIR is not set: tests on the MNIST files are skipped, each with a word."
exec scripts/run-suite.sh build "$@"
