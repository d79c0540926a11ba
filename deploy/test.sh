#!/bin/sh
# deploy/test.sh: installs what the tests need, builds, and runs them all.
#
#   sh deploy/test.sh [--long] [--only STAGE[,STAGE…]]
#
#   --long   more seeds in the simulation, 200 kills in the durability story, ten minutes for each fuzz
#            target, clang-tidy over every file
#   --only   some of the stages:
#
#     format   clang-format has nothing to change
#     includes includes point down (tests/unit/includes.sh)
#     unit     ctest in the release and asan builds
#     fuzz     the corpus of every fuzz target, then 30 seconds of fuzzing each, under the sanitizers
#     sim      the simulation: seeded random commands, crashes, invariants
#     web      type check, unit tests and build of the web part
#     wire     real clients from npm against the real binary (tests/wire)
#     wire-asan, wire-tsan
#              the same stories against the builds of AddressSanitizer and UBSan, and of ThreadSanitizer
#     fault    a disk that fills, fails, loses power or alters bits (tests/fault)
#     network  bad lines, network namespaces, jumping clocks (tests/network)
#     load     the hub under load (tests/load)
#     browser  Chromium against the real binary (tests/browser)
#     tidy     clang-tidy (with --long, or by name)
#     image    the container image, built and run without an engine (tests/image; with --long, or by name)
#
# The first stage that fails ends the run with its output; after the summary stands in short what
# failed (deploy/failures.awk). The last line is `N passed, N failed`.
# Docs: docs/testing.md
set -u

usage() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 2
}

cd "$(dirname "$0")/.." || exit 1

stages='format includes unit fuzz sim web wire wire-asan wire-tsan fault network load browser tidy image'
only=
long=no
while [ $# -gt 0 ]; do
    case "$1" in
    --long) long=yes ;;
    --only)
        [ $# -ge 2 ] || usage "--only wants a stage: $stages"
        only=$(printf '%s' "$2" | tr ',' ' ')
        shift
        ;;
    -h | --help)
        sed -n '2,27s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) usage "unknown option '$1' (--long, --only STAGE)" ;;
    esac
    shift
done
for stage in $only; do
    case " $stages " in
    *" $stage "*) ;;
    *) usage "unknown stage '$stage'; known are: $stages" ;;
    esac
done

# What a run may take; stages that can be cut short (tidy) ask how much is left.
BUDGET_S=1500
# Two cores are what the tests are written for; more would only make timing noisier.
JOBS=2
# The versions whose opinion counts: the formatter and the linter of later releases judge otherwise.
CLANG_FORMAT_MAJOR=14
CLANG_TIDY_MAJOR=14

[ $long = no ] || export WAGGLE_LONG=1

logs=build/test-logs
mkdir -p "$logs" || exit 1
: >"$logs/counts" # "passed failed skipped" a line
: >"$logs/summary"
started=$(date +%s)

count() {
    printf '%s %s %s\n' "$1" "$2" "${3:-0}" >>"$logs/counts"
}

elapsed() {
    echo $(($(date +%s) - started))
}

# Of a long log a reader may have only the end: what failed is said there once more, in short.
finish() {
    printf '\n== summary\n'
    cat "$logs/summary"
    if [ -n "${broken-}" ]; then
        printf '\n== failed in %s (all of it: %s)\n' "$broken" "$logs/$broken.log"
        awk -v lines_max=60 -f deploy/failures.awk "$logs/$broken.log"
        echo
    fi
    awk '{ p += $1; f += $2; s += $3 }
         END { if (s) printf "%d skipped\n", s
               printf "%d passed, %d failed\n", p, f
               exit f > 0 }' "$logs/counts"
    exit $?
}

# run_stage NAME TITLE FUNCTION: output goes to a log, shown when the stage fails.
run_stage() {
    if [ -n "$only" ]; then
        case " $only " in
        *" $1 "*) ;;
        *) return 0 ;;
        esac
    fi
    printf '== %s: %s\n' "$1" "$2"
    stage_started=$(date +%s)
    : >"$logs/note"
    if ("$3") >"$logs/$1.log" 2>&1; then
        verdict=ok
    else
        verdict=FAILED
    fi
    took=$(($(date +%s) - stage_started))
    printf '%-9s %-7s %4d s  %s\n' "$1" "$verdict" "$took" "$(cat "$logs/note")" >>"$logs/summary"
    tail -n 1 "$logs/summary"
    if [ $verdict = FAILED ]; then
        broken=$1
        printf -- '---- output of %s (%s)\n' "$1" "$logs/$1.log"
        cat "$logs/$1.log"
        # A stage that failed before it could count its tests has failed as one.
        awk '{ f += $2 } END { exit f > 0 }' "$logs/counts" && count 0 1
        finish
    fi
}

note() {
    printf '%s' "$*" >"$logs/note"
}

# wanted STAGE…: will one of these run?
wanted() {
    [ -n "$only" ] || return 0
    for stage in "$@"; do
        case " $only " in *" $stage "*) return 0 ;; esac
    done
    return 1
}

c_files() {
    for room in store auth channels hub tests; do
        [ ! -d $room ] || find $room -name node_modules -prune -o -name '*.[ch]' -print
    done | sort
}

# --- build, once a preset ---------------------------------------------------------------------

# build_preset NAME [TARGET…]: all of it, or what is named.
build_preset() {
    preset=$1
    shift
    launcher=
    if command -v ccache >/dev/null 2>&1; then
        launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
    fi
    # shellcheck disable=SC2086 # none or one word
    cmake --preset "$preset" -DWAGGLE_TESTS=ON $launcher || return 1
    for target in "${@:-all}"; do
        cmake --build --preset "$preset" -j "$JOBS" --target "$target" || return 1
    done
}

# Of a preset that only some stage wants, what that stage wants. The fuzz targets build themselves.
stage_build() {
    build_preset release || return 1
    { ! wanted unit fuzz wire-asan || build_preset asan; } &&
        { ! wanted wire-tsan || build_preset tsan waggled waggle; }
}

# --- stages -----------------------------------------------------------------------------------

major_of() {
    "$1" --version 2>/dev/null | sed -n 's/.*version \([0-9][0-9]*\).*/\1/p' | head -n 1
}

stage_format() {
    major=$(major_of clang-format)
    if [ "$major" != "$CLANG_FORMAT_MAJOR" ]; then
        note "skipped: the tree is laid out by clang-format $CLANG_FORMAT_MAJOR, here is ${major:-none}"
        count 0 0 1
        return 0
    fi
    # shellcheck disable=SC2046 # our paths have no spaces
    clang-format --dry-run --Werror $(c_files) && count 1 0
}

stage_includes() {
    sh tests/unit/includes.sh && count 1 0
}

# ctest_counted PRESET ARGS…: a cmocka program counts its own tests, any other is one.
ctest_counted() {
    preset=$1
    shift
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
        ctest --test-dir "build/$preset" --no-tests=error --output-on-failure -j "$JOBS" --timeout 600 "$@"
    rc=$?
    [ ! -f "build/$preset/Testing/Temporary/LastTest.log" ] ||
        awk '
            /^[0-9]+\/[0-9]+ Testing: / { cases = 0; absent = 0 }
            /^Command: ""/ { absent = 1 } # ctest calls a program that is not there passed
            /^\[ +PASSED +\] [0-9]+ test/ { passed += $4; cases = 1 }
            /^\[ +FAILED +\] [0-9]+ test/ { failed += $4; cases = 1 }
            /^Test Passed\./ { if (absent) failed++; else if (!cases) passed++ }
            /^Test (Failed|timeout)/ { if (!cases) failed++ }
            END { print passed + 0, failed + 0, 0 }' "build/$preset/Testing/Temporary/LastTest.log" >>"$logs/counts"
    return $rc
}

stage_unit() {
    ctest_counted release -E '_corpus$|^sim' && ctest_counted asan -E '_corpus$|^sim'
}

# What was ever found stays found; then a look for more, from where the last one ended.
stage_fuzz() {
    ctest_counted asan -R '_corpus$' || return 1
    seconds=30
    [ $long = no ] || seconds=600
    sh tests/fuzz/run.sh --seconds "$seconds" --jobs "$JOBS"
    rc=$?
    note "$(awk '{ n += $3 } END { print NR " targets, " n " executions" }' build/fuzz/logs/verdicts)"
    count "$(grep -c ' ok ' build/fuzz/logs/verdicts)" "$(grep -c ' BROKE ' build/fuzz/logs/verdicts)"
    return $rc
}

# The simulation prints its seed when it fails; that seed then goes to the list of those that once
# failed. Half of the seeds to each core, and a few twice: the same seed is the same history.
stage_sim() {
    sim=build/release/tests/sim
    half=500
    [ $long = no ] || half=10000
    note "$((2 * half)) seeds"
    "$sim" --list tests/sim/seeds.txt --seeds $half &
    first=$!
    "$sim" --from $((half + 1)) --seeds $half && "$sim" --seeds 10 --twice
    rc=$?
    wait $first || rc=1
    [ $rc -ne 0 ] || count 1 0
    return $rc
}

# npm_ci DIR: installs exactly the lock file, unless that is what is there.
npm_ci() {
    installed=$1/node_modules/.package-lock.json
    if [ -f "$installed" ] && [ -z "$(find "$1/package-lock.json" -newer "$installed")" ]; then
        return 0
    fi
    # PLAYWRIGHT…: no install step may download a browser; Debian's is used.
    (cd "$1" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --fetch-retries 2) && touch "$installed"
}

# node_counted DIR COMMAND…: runs node's test runner and reads its totals.
node_counted() {
    dir=$1
    shift
    out=$logs/node-$(printf '%s' "$dir" | tr '/' '-').out
    (cd "$dir" && "$@") >"$out" 2>&1
    rc=$?
    cat "$out"
    awk '/^(#|ℹ) pass [0-9]+/ { p += $3 } /^(#|ℹ) fail [0-9]+/ { f += $3 }
         /^(#|ℹ) (skipped|todo) [0-9]+/ { s += $3 } END { print p + 0, f + 0, s + 0 }' "$out" >>"$logs/counts"
    return $rc
}

stage_web() {
    # npm_ci before the build, so that both say the same of a registry out of reach.
    npm_ci web && (cd web && npm run --silent typecheck) && node_counted web npm run --silent test && sh deploy/web.sh
}

# The SDK is told its story as it is built, so the web part must be.
stage_wire() {
    npm_ci tests/wire && sh deploy/web.sh && node_counted tests/wire npm run --silent test
}

# wire_under PRESET VARIABLE=VALUE…: the stories once more, with the programs of another build.
wire_under() {
    preset=$1
    shift
    npm_ci tests/wire && sh deploy/web.sh || return 1
    node_counted tests/wire env WAGGLED="$PWD/build/$preset/waggled" WAGGLE="$PWD/build/$preset/waggle" \
        WAGGLE_ROUNDS=10 "$@" npm run --silent test
}

# A leak or a byte too far shows at the latest when a hub stops: a story fails unless it exits 0.
stage_wire_asan() {
    wire_under asan ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
}

# Threads that race must be several, whatever the machine has.
stage_wire_tsan() {
    wire_under tsan WAGGLE_IO_THREADS=3 TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp second_deadlock_stack=1"
}

# Parts that this machine cannot do (namespaces are for root) say so and are skipped.
stage_network() {
    npm_ci tests/wire && node_counted tests/network sh run.sh
}

# Each case prints what it did and its figures; they go to the summary of a run as they are.
stage_load() {
    longer=
    [ $long = no ] || longer=--long
    # shellcheck disable=SC2086 # none or one word
    build/release/tests/load $longer
    rc=$?
    awk '/^load: / { print $2, $5, 0 }' "$logs/load.log" >>"$logs/counts"
    return $rc
}

# Told with the harness of the wire.
stage_fault() {
    npm_ci tests/wire && node_counted tests/wire node run.mjs --in ../fault
}

# The stories of the browser start their hubs with the harness of the wire.
stage_browser() {
    npm_ci tests/wire && npm_ci tests/browser && sh deploy/web.sh && node_counted tests/browser npm run --silent test
}

# The image is made of Debian's packages anew where a layer changed: minutes, and 300 MB of tools that
# are not installed for it. Where they or root are missing the story says so and is skipped.
stage_image() {
    npm_ci tests/wire && WAGGLE_LONG=1 node_counted tests/wire node run.mjs --in ../image || return 1
    note "$(grep -h '^image: ' "$logs/node-tests-wire.out" | head -n 1)"
}

# A file is judged again only when it, a header of ours or the rules changed. Without --long the
# stage stops where the time budget ends, and says how many files it did not reach.
stage_tidy() {
    major=$(major_of clang-tidy)
    if [ "$major" != "$CLANG_TIDY_MAJOR" ]; then
        note "skipped: judged by clang-tidy $CLANG_TIDY_MAJOR, here is ${major:-none}"
        count 0 0 1
        return 0
    fi
    seen=build/tidy
    mkdir -p "$seen"
    # shellcheck disable=SC2046
    common=$(cat .clang-tidy $(c_files | grep '\.h$') | sha256sum | cut -d' ' -f1)
    : >"$logs/tidy-list"
    : >"$logs/tidy-failed"
    for file in $(c_files | grep -E '^(store|auth|channels|hub)/.*\.c$'); do
        mark=$seen/$(printf '%s' "$common $(sha256sum "$file")" | sha256sum | cut -d' ' -f1)
        [ -f "$mark" ] || printf '%s %s\n' "$file" "$mark" >>"$logs/tidy-list"
    done
    total=$(wc -l <"$logs/tidy-list")
    left=$((BUDGET_S - $(elapsed)))
    [ $long = no ] || left=100000
    deadline=$(($(date +%s) + left))
    # shellcheck disable=SC2016 # expanded by the inner shell
    xargs -r -P "$JOBS" -n 2 sh -c '
        [ "$(date +%s)" -lt "${0%% *}" ] || exit 0
        if clang-tidy --quiet -p build/release "$1" 2>/dev/null; then
            : >"$2"
        else
            printf "%s\n" "$1" >>"${0#* }"
            exit 1
        fi' "$deadline $logs/tidy-failed" <"$logs/tidy-list"
    rc=$?
    clean=$(cut -d' ' -f2 "$logs/tidy-list" | while read -r mark; do [ ! -f "$mark" ] || echo; done | wc -l)
    faulty=$(wc -l <"$logs/tidy-failed")
    note "$clean clean, $faulty not, $((total - clean - faulty)) left for want of time"
    count "$clean" "$faulty"
    sed 's/^/clang-tidy complains of /' "$logs/tidy-failed"
    return $rc
}

# --- run --------------------------------------------------------------------------------------

sh deploy/deps.sh --tests || {
    count 0 1
    finish
}

run_stage format "clang-format has nothing to change" stage_format
run_stage includes "includes point down" stage_includes
if wanted unit fuzz sim wire wire-asan wire-tsan fault network load browser tidy; then
    printf '== build: release and the sanitizers\n'
    build_started=$(date +%s)
    if ! stage_build >"$logs/build.log" 2>&1; then
        broken=build
        cat "$logs/build.log"
        printf '%-9s %-7s\n' build FAILED >>"$logs/summary"
        count 0 1
        finish
    fi
    printf '%-9s %-7s %4d s\n' build ok $(($(date +%s) - build_started)) >>"$logs/summary"
    tail -n 1 "$logs/summary"
fi
run_stage unit "ctest, release and asan" stage_unit
run_stage fuzz "every fuzz target: its corpus, then more" stage_fuzz
run_stage sim "seeded commands, crashes, invariants" stage_sim
run_stage web "type check, unit tests, build" stage_web
run_stage wire "clients from npm against the hub" stage_wire
run_stage wire-asan "the same under AddressSanitizer and UBSan" stage_wire_asan
run_stage wire-tsan "the same under ThreadSanitizer" stage_wire_tsan
run_stage fault "disks that fill, fail, lose power and alter bits" stage_fault
run_stage network "bad lines, jumping clocks" stage_network
run_stage load "the hub under load" stage_load
run_stage browser "Chromium against the hub" stage_browser
# An opinion on style takes longer than everything above: asked for by name, or with --long.
if [ "$long" = yes ] || [ -n "$only" ]; then
    run_stage tidy "clang-tidy" stage_tidy
    run_stage image "the container image, built and run" stage_image
fi
finish
