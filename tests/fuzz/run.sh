#!/bin/sh
# tests/fuzz/run.sh: fuzzes, two targets at a time, under AddressSanitizer and UBSan.
#
#   sh tests/fuzz/run.sh [--seconds N] [--jobs N] [--minimise] [TARGET…]
#
#   --seconds N   for each target; 3600 unless said (the small ones take a third of it)
#   --jobs N      targets at a time; 2
#   --minimise    instead of fuzzing: the corpus that was gathered, down to what covers as much
#   TARGET        http1, ws, frame, …: the files fuzz_X.c; all unless said
#
# Starts from the corpora of the repository and from what earlier runs gathered in
# build/fuzz/gathered. An input that breaks something is made as small as it can be and left in
# build/fuzz/found with its report: put it into tests/fuzz/corpus/TARGET under a name that says what
# it is, then mend what it broke. The last line is the sum of all executions; exit 1 if anything broke.
set -u

cd "$(dirname "$0")/../.." || exit 1

seconds=3600
jobs=2
minimise=no
targets=
only_one=
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds | --jobs)
        [ $# -ge 2 ] || set -- "$1" ''
        case "$2" in
        '' | *[!0-9]*)
            printf 'run.sh: %s wants a number\n' "$1" >&2
            exit 2
            ;;
        esac
        [ "$1" = --seconds ] && seconds=$2 || jobs=$2
        shift
        ;;
    --minimise) minimise=yes ;;
    --fuzz) ;;
    --one) # how the script calls itself, a process for each target
        only_one=$2
        shift
        ;;
    -h | --help)
        sed -n '2,17s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        printf "run.sh: unknown option '%s'\n" "$1" >&2
        exit 2
        ;;
    *)
        [ -f "tests/fuzz/fuzz_$1.c" ] || {
            printf "run.sh: there is no target '%s'\n" "$1" >&2
            exit 2
        }
        targets="$targets $1"
        ;;
    esac
    shift
done
[ -n "$targets" ] || targets=$(printf '%s\n' tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/\1/')
# Parsers of a few lines, whose ways are all known after some seconds.
small=' handshake moment namespace '

launcher=
if command -v ccache >/dev/null 2>&1; then
    launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
fi
work=build/fuzz
mkdir -p $work/gathered $work/found $work/logs
# shellcheck disable=SC2046,SC2086 # none or one word; a word for each target
if [ -z "$only_one" ] && ! {
    cmake --preset fuzz $launcher &&
        cmake --build $work -j 2 --target $(printf 'fuzz_%s ' $targets)
} >$work/logs/build 2>&1; then
    cat $work/logs/build
    exit 1
fi
export UBSAN_OPTIONS=print_stacktrace=1

# one TARGET SECONDS: its log, and what it found if it found something.
one() {
    gathered=$work/gathered/$1
    mkdir -p "$gathered"
    if [ $minimise = yes ]; then
        rm -rf "$gathered.least" && mkdir "$gathered.least" &&
            "$work/tests/fuzz_$1" -merge=1 "$gathered.least" "$gathered" "tests/fuzz/corpus/$1" >"$work/logs/$1" 2>&1 &&
            rm -rf "$gathered" && mv "$gathered.least" "$gathered" && return 0
        return 1
    fi
    # These look at an input in many cuts: short ones, of which there can be many.
    case $1 in http1 | ws) longest=1024 ;; *) longest=8192 ;; esac
    "$work/tests/fuzz_$1" -max_total_time="$2" -max_len=$longest -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/found/$1-" "$gathered" "tests/fuzz/corpus/$1" >"$work/logs/$1" 2>&1 && return 0
    found=$(sed -n 's/.*Test unit written to //p' "$work/logs/$1" | tail -n 1)
    [ -z "$found" ] || "$work/tests/fuzz_$1" -minimize_crash=1 -max_total_time=30 \
        -exact_artifact_path="$found.least" "$found" >/dev/null 2>&1
    cp "$work/logs/$1" "$work/found/$1.report"
    return 1
}

# run_one TARGET: says how it went in a line of its own.
run_one() {
    case $small in *" $1 "*) long=$((seconds / 3 + 1)) ;; *) long=$seconds ;; esac
    one "$1" "$long" && verdict=ok || verdict=BROKE
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/logs/$1")
    line=$(printf '%-12s %-6s %12s executions' "$1" "$verdict" "${runs:-0}")
    [ $minimise = no ] || line=$(printf '%-12s %-6s %12s inputs' "$1" "$verdict" "$(find "$work/gathered/$1" -type f | wc -l)")
    printf '%s\n' "$line" | tee -a $work/logs/verdicts
    [ "$verdict" = ok ] || tail -n 60 "$work/logs/$1"
}

if [ -n "$only_one" ]; then
    run_one "$only_one"
    exit 0
fi
started=$(date +%s)
: >$work/logs/verdicts
again=--fuzz
[ $minimise = no ] || again=--minimise
# shellcheck disable=SC2086 # a word for each target
printf '%s\n' $targets | xargs -P "$jobs" -n 1 sh tests/fuzz/run.sh "$again" --seconds "$seconds" --one
awk -v s=$(($(date +%s) - started)) '
    { runs += $3; broke += $2 == "BROKE"; n++ }
    END { printf "%d targets, %d %s in %d s, %d broke\n", n, runs, $4, s, broke; exit broke > 0 }' $work/logs/verdicts
