#!/bin/sh
# tests/unit/failures.sh: the end of a run that failed (deploy/failures.awk) names what failed and why,
# each once, in no more lines than it may, and says nothing of what passed.
set -eu
cd "$(dirname "$0")/../.."

check() {
    if [ "$2" != "$3" ]; then
        printf 'failures: %s: got\n%s\nnot\n%s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

told() {
    awk -v lines_max="$1" -f deploy/failures.awk
}

node_log='✖ a claim that fails (12.5ms)
  AssertionError: 1 !== 2
      at here (file:1:2)

✔ another (0.2ms)
== one.test.mjs: 3 s
✖ failing tests:

test at one.test.mjs:2:1
✖ a claim that fails (12.5ms)
  AssertionError: 1 !== 2
      at here (file:1:2)
== two.test.mjs: 1 s
run.mjs: ended after 12 minutes: two.test.mjs'
check "node's tests" "$(printf '%s\n' "$node_log" | told 60)" '✖ a claim that fails
  AssertionError: 1 !== 2
run.mjs: ended after 12 minutes: two.test.mjs'

check 'a report deep in the log of a hub' "$({
    echo '✖ it stops (1ms)'
    seq 1 50 | sed 's/^/  line /'
    echo '  SUMMARY: AddressSanitizer: 8 byte(s) leaked in 1 allocation(s).'
} | told 60 | tail -n 2)" '  line 7
  SUMMARY: AddressSanitizer: 8 byte(s) leaked in 1 allocation(s).'

check "ctest's programs" "$(printf '%s\n' '[ RUN      ] x_is_y' '[  ERROR   ] --- 0x1 != 0x2' '[       OK ] y' \
    '[  FAILED  ] x_is_y' 'The following tests FAILED:' '	 12 - test_x (Failed)' | told 60)" '[  ERROR   ] --- 0x1 != 0x2
[  FAILED  ] x_is_y
The following tests FAILED:
	 12 - test_x (Failed)'

check 'a compiler' "$(printf '%s\n' '[1/2] Building' 'hub/a.c:1:2: error: no' | told 60)" 'hub/a.c:1:2: error: no'
check 'what says nothing that is known' "$(seq 1 40 | told 60)" "$(seq 26 40)"
check 'no more lines than it may' "$(seq 1 40 | told 3)" "$(printf '26\n27\n28\n… (more in the log)')"
