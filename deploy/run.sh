#!/bin/sh
# deploy/run.sh: from a fresh clone to a running hub, in one command.
#
#   sh deploy/run.sh [--demo] [--port N] [--data DIR] [--host ADDR] [-- waggled's own options]
#
#   --demo       also starts a small swarm of real agent processes, which end with the hub
#   --port N     8000
#   --data DIR   where the state lives: ./data
#   --host ADDR  the address to listen on: this machine only (127.0.0.1 and ::1). 0.0.0.0 is everybody
#
# Installs what is missing (deps.sh), builds what has changed, builds the web part where npm can be
# reached, and runs the hub in the foreground until Ctrl-C.
set -eu

say() {
    printf 'run.sh: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

usage() {
    say "$*"
    exit 2
}

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/release
called_from=$(pwd)

demo=no
port=8000
data=$root/data
host=
while [ $# -gt 0 ]; do
    case "$1" in
    --demo) demo=yes ;;
    --port | --data | --host)
        [ $# -ge 2 ] || usage "$1 wants a value"
        case "$1" in
        --port) port=$2 ;;
        --data) data=$2 ;;
        --host) host=$2 ;;
        esac
        shift
        ;;
    --)
        shift
        break
        ;;
    -h | --help)
        sed -n '2,11s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) usage "unknown option '$1'; known are --demo, --port N, --data DIR, --host ADDR, and -- before waggled's own" ;;
    esac
    shift
done
case "$port" in
'' | *[!0-9]*) usage "--port '$port' is not a number" ;;
esac
{ [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || usage "--port $port is not between 1 and 65535"
case "$data" in
/*) ;;
*) data=$called_from/$data ;;
esac
cd "$root"

# --- build ------------------------------------------------------------------------------------

sh deploy/deps.sh

if [ ! -f "$build/build.ninja" ]; then
    # Without the tests, whose packages a mere run does not install; test.sh switches them on.
    cmake --preset release -DWAGGLE_TESTS=OFF >/dev/null || fail "cmake could not configure; its message stands above"
fi
say "building (only what changed; log in build/release/build.log)"
cmake --build --preset release --target waggled waggle >"$build/build.log" 2>&1 || {
    cat "$build/build.log" >&2
    fail "the build failed; the compiler's message stands above"
}

sh deploy/web.sh || say "the hub runs without its dashboard and API pages until that is mended"

# --- start ------------------------------------------------------------------------------------

mkdir -p "$(dirname "$data")" || fail "cannot make the folder of $data"

# A pipe with a name: the hub writes its one line `ready http://…` there, and is still our own child.
run=$(mktemp -d "${TMPDIR:-/tmp}/waggle-run.XXXXXX")
mkfifo "$run/ready"

hub=
agents=
stop_all() {
    trap '' INT TERM HUP
    # The agents first, so that they leave in order and are not seen going stale; what they have in hand
    # they may end (agent run's --grace).
    if [ -n "$agents" ]; then
        kill -TERM "$agents" 2>/dev/null || true
        if [ -z "$hub" ]; then # nobody to end it for: asked twice, they go at once
            sleep 0.5
            kill -TERM "$agents" 2>/dev/null || true
        fi
        wait "$agents" 2>/dev/null || true
    fi
    [ -z "$hub" ] || kill -TERM "$hub" 2>/dev/null || true
}
trap 'rm -rf "$run"' EXIT
trap stop_all INT TERM HUP

if [ -n "$host" ]; then
    set -- --listen "$host:$port" "$@"
else
    set -- --listen "127.0.0.1:$port" "$@"
    # `localhost` is ::1 for many clients, where the machine has IPv6 at all.
    if grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null; then
        set -- "$@" --listen "[::1]:$port"
    fi
fi
"$build/waggled" --data "$data" "$@" >"$run/ready" &
hub=$!

exec 3<"$run/ready" # opens once the hub's side is open, ends when the hub does
ready=
while IFS= read -r line <&3; do
    case "$line" in
    'ready '*)
        ready=${line#ready }
        break
        ;;
    esac
done

status_of() {
    # wait is cut short by a signal that we trap; the child's own end is what counts.
    rc=0
    wait "$1" || rc=$?
    while kill -0 "$1" 2>/dev/null; do
        rc=0
        wait "$1" || rc=$?
    done
    return $rc
}

if [ -z "$ready" ]; then
    rc=0
    status_of "$hub" || rc=$?
    say "the hub did not start (exit $rc); its message stands above. If port $port is taken: sh deploy/run.sh --port $((port + 1))"
    exit "$rc"
fi

# What the hub prints first names the address as given; 0.0.0.0 is nowhere to go.
url=$(printf '%s' "$ready" | sed 's#//0\.0\.0\.0:#//localhost:#; s#//\[::\]:#//localhost:#; s#//127\.0\.0\.1:#//localhost:#')
key=
[ ! -r "$data/admin.key" ] || key=$(cat "$data/admin.key")

hint=
if [ $demo = yes ]; then
    if [ -z "$key" ]; then
        say "--demo needs the admin key in $data/admin.key, which is not readable; starting no agents"
    else
        WAGGLE_URL=$ready WAGGLE_API_KEY_FILE=$data/admin.key \
            sh deploy/demo.sh "$build/waggle" "$data/demo" 2>"$build/demo.log" &
        agents=$!
        hint='
  Five agents are at work (log in build/release/demo.log); README.md, "A swarm at work", says what to ask of them.
'
    fi
fi

bin=${build#"$called_from"/}
cat <<INFO

  Waggle runs at  $url
  Dashboard       $url/dashboard/
  API             $url/docs
  State           $data
  Admin key       ${key:-printed by the hub at its first start}

  Try, in a second terminal:

    export WAGGLE_URL=$url WAGGLE_API_KEY_FILE=$data/admin.key
    $bin/waggle tail agents
    $bin/waggle agent run --id bee-7 --type worker --capability nectar
    $bin/waggle publish news.today '{"flowers":"clover"}'
    $bin/waggle top
$hint
  Ctrl-C stops the hub; what was acknowledged is on disk.

INFO

# Nothing more is expected on the pipe, but a hub must never block on it.
cat <&3 >/dev/null &
exec 3<&-

rc=0
status_of "$hub" || rc=$?
hub=
stop_all
exit "$rc"
