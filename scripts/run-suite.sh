#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run-suite.sh BUILD [ctest options]: runs the tests of a build folder and closes with their counts.
set -u
build=$1
shift
log=$build/tests.log
ctest --test-dir "$build" --output-on-failure --verbose --parallel "$(nproc 2>/dev/null || echo 2)" "$@" >"$log" 2>&1
status=$?
grep -E '^ *[0-9]+/[0-9]+ Test|\[SKIP\]|skipped:' "$log" | sed 's/^ *//'
# A sanitizer speaks after a test's process has told its result: what it says counts too.
if grep -qE 'ERROR: [A-Za-z]*Sanitizer|runtime error:' "$log"; then status=1; fi
[ $status = 0 ] || grep -E '^[0-9]+: .*(\[FAIL\]|CRASH|Assertion Failed|ERROR: |runtime error|Direct leak|    #[0-9]+ .* \.\./)|tests failed|\*\*\*|Not Run' "$log" | head -n 100
# Criterion closes each suite with: Synthesis: Tested: 12 | Passing: 12 | Failing: 0 | Crashing: 0
sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
  /Synthesis: Tested:/ { for (i = 1; i <= NF; i++) { if ($i == "Passing:") p += $(i + 1); if ($i ~ /^(Failing|Crashing):$/) f += $(i + 1) } }
  END { printf "%d passed, %d failed\n", p, f; exit p == 0 }' || status=1
[ $status = 0 ] || echo "The suite failed; the whole log: $log"
exit $status
