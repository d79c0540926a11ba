#!/bin/sh
# Builds the release, loads the hub, the floor and peers in turn, and prints one table: what
# design.md section 7 asks for and what was measured. docs/benchmarks.md says how to read it.
#
# Lists of pids, targets and flags are words to be split; dash and every other sh here has ulimit -n.
# shellcheck disable=SC1007,SC2086,SC3045
set -eu

usage() {
    cat <<'EOF'
usage: tests/bench/run.sh [--quick] [--out FILE] [--only LIST] [--hub PROGRAM] [--no-peers]
                          [--no-build] [--keep]
  --quick      fewer rounds, 2,000 idle connections and agents: minutes become one or two
  --out FILE   the table goes there as well
  --only LIST  of fanout,idle,publish,heartbeat,tasks,messages,coordination,back,start
  --hub FILE   another build of the hub, started with the same arguments
  --no-peers   the hub and the floor only
  --no-build   take build/release as it is
  --keep       leave build/bench/run, with the logs of the servers
WAGGLED_FLAGS in the environment are more arguments for the hub.
EOF
}

quick=0 out= only=fanout,idle,publish,heartbeat,tasks,messages,coordination,back,start peers=1 build=1 keep=0
hub=build/release/waggled
command_line="tests/bench/run.sh $*"
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --out) out=${2:?--out wants a file}; shift ;;
    --only) only=${2:?--only wants a list}; shift ;;
    --hub) hub=${2:?--hub wants a program}; shift ;;
    --no-peers) peers=0 ;;
    --no-build) build=0 ;;
    --keep) keep=1 ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
bin=build/release/tests
work=build/bench/run # beside the sources, not in a file system of memory: fsync must cost
results=$work/results

rm -rf $work
mkdir -p $work
if [ "$build" = 1 ]; then
    if ! { cmake --preset release && cmake --build --preset release -j 2; } >$work/build.log 2>&1; then
        tail -n 20 $work/build.log >&2
        echo "bench: the build failed" >&2
        exit 1
    fi
fi
[ -x $bin/bench_floor ] || { echo "bench: no $bin/bench_floor; build first" >&2; exit 1; }
: >$results
ulimit -n "$(ulimit -Hn)"

running=
finish() {
    for pid in $running; do kill "$pid" 2>/dev/null || true; done
    for pid in $running; do wait "$pid" 2>/dev/null || true; done
    [ "$keep" = 1 ] || rm -rf $work
}
trap finish EXIT
trap 'exit 130' INT TERM

busy=$(cut -d' ' -f1 /proc/loadavg)

# With one client thread the last core is the client's, the others the server's.
cores=$(nproc)
server_cpus=0
[ "$cores" -lt 3 ] || server_cpus=0-$((cores - 2))
client_cpu=$((cores - 1))
pin=
note() { echo "bench: $*" >&2; }
client() { # runs a program of the benchmark; its lines are the results
    note "$*"
    program=$1; shift
    if ! ${pin:+taskset -c $client_cpu} "$bin/$program" "$@" >>$results; then
        note "no figure: $program failed"
        echo "failed program=$program" >>$results
    fi
}

# start NAME COMMAND...: sets address and pid once it has printed `ready http://ADDR:PORT`.
address= pid=
start() {
    name=$1; shift
    : >"$work/$name.out"
    ${pin:+taskset -c $server_cpus} "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pid=$!
    running="$running $pid"
    waited=0
    until address=$(sed -n 's,^ready https*://,,p' "$work/$name.out") && [ -n "$address" ]; do
        waited=$((waited + 1))
        if [ $waited -gt 200 ] || ! kill -0 "$pid" 2>/dev/null; then
            note "$name did not start: $(tail -n 3 "$work/$name.err")"
            return 1
        fi
        sleep 0.1
    done
}
stop() {
    for one in "$@"; do
        kill "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
        running=$(echo "$running" | sed "s/ $one\$//; s/ $one / /")
    done
}

# start_both [tls]: the floor, and the hub on an empty directory; sets targets and pids. The floor
# comes first: ratios are to it.
targets= pids=
start_both() {
    scheme= floor_tls= hub_tls=
    if [ "${1:-}" = tls ]; then
        scheme=tls:
        floor_tls="--tls $work/cert.pem $work/key.pem"
        hub_tls="--tls-cert $work/cert.pem --tls-key $work/key.pem"
    fi
    start floor $bin/bench_floor ${durable:+--log $work/floor.log} $floor_tls
    targets="--target floor=$scheme$address/$pid"
    pids=$pid
    [ -x "$hub" ] || return 0
    rm -rf $work/data
    start hub "$hub" --listen 127.0.0.1:0 --data $work/data --anonymous-role admin --process-inspectable yes $hub_tls \
        ${WAGGLED_FLAGS:-} || return 0
    targets="$targets --target hub=$scheme$address/$pid"
    pids="$pids $pid"
}
[ -x "$hub" ] || note "no $hub: the floor and the peers only"

wanted() { case ,$only, in *,"$1",*) return 0 ;; *) return 1 ;; esac; }
have() { command -v "$1" >/dev/null 2>&1; }
skip_peer() { note "peer $1 skipped: $2"; echo "skipped peer=$1" >>$results; }

if [ $quick = 1 ]; then
    rounds=5 ticks=40 idle=2000 agents=2000 seconds=2 few=1 replayed=500000 stored=1000000 paged=100000
else
    rounds=9 ticks=100 idle=10000 agents=10000 seconds=5 few=3 replayed=2000000 stored=10000000 paged=1000000
fi

# The `ws` package: what the wire tests installed, else its own copy in build/.
ws_package() {
    for place in tests/wire tests/browser web build/bench/peers; do
        [ -d "$place/node_modules/ws" ] && { echo "$root/$place/node_modules/ws"; return 0; }
    done
    have npm || return 1
    npm install --silent --no-audit --no-fund --prefix build/bench/peers ws@8 >/dev/null 2>&1 || return 1
    echo "$root/build/bench/peers/node_modules/ws"
}
start_ws() {
    if ! have node || ! ws=$(ws_package); then
        skip_peer ws "no node, or npm could not fetch it"
        return 1
    fi
    start ws node tests/bench/peer_ws.mjs "$ws"
}

# ---- fan-out: server and client each on a core of their own ----
if wanted fanout; then
    pin=1
    durable= && start_both
    client bench_fanout $targets --channel live.fan --rounds $rounds --ticks $ticks
    stop $pids
    durable=1 && start_both
    client bench_fanout $targets --channel bench.fan --rounds $rounds --ticks $ticks
    stop $pids
    if [ $peers = 1 ] && durable= && start_both && start_ws; then
        client bench_fanout ${targets%% --target hub*} --target ws="$address/$pid" \
            --channel peer.fan --rounds $few --ticks 20
        stop "$pid"
    fi
    stop $pids
fi

# ---- idle connections ----
if wanted idle; then
    pin=
    durable= && start_both
    client bench_idle $targets --connections $idle
    stop $pids
    if have openssl; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -keyout $work/key.pem -out $work/cert.pem -subj /CN=localhost \
            -addext subjectAltName=IP:127.0.0.1 2>/dev/null
        durable= && start_both tls
        client bench_idle $targets --connections $idle
        stop $pids
    fi
    if [ $peers = 1 ] && start_ws; then
        client bench_idle --target ws="$address/$pid" --connections $idle
        stop "$pid"
    fi
fi

# ---- durable publish: threads wait for the disk in turn, so nothing is pinned ----
sync_metric=${SYNC_METRIC:-waggle_commit_seconds_count}
publish() {
    durable=1 && start_both
    client bench_publish $targets --sync-metric "$sync_metric" --seconds $seconds "$@"
    stop $pids
}
# start_peer NAME PATTERN COMMAND...: ready once its log has the pattern.
start_peer() {
    name=$1 pattern=$2; shift 2
    : >"$work/$name.out"
    "$@" >"$work/$name.out" 2>&1 &
    pid=$!
    running="$running $pid"
    waited=0
    until grep -q "$pattern" "$work/$name.out"; do
        waited=$((waited + 1))
        if [ $waited -gt 100 ] || ! kill -0 "$pid" 2>/dev/null; then
            skip_peer "$name" "$(tail -n 1 "$work/$name.out")"
            return 1
        fi
        sleep 0.1
    done
}
port=$((20000 + $$ % 10000)) # below the ports that the kernel gives to clients
publish_redis() {
    have redis-server || { skip_peer redis "not installed (Debian package redis-server)"; return 0; }
    mkdir -p $work/redis
    start_peer redis "eady to accept" redis-server --bind 127.0.0.1 --port $port \
        --dir "$root/$work/redis" --appendonly yes --appendfsync always --save "" \
        --maxclients 10000 || return 0
    client bench_peer --wire redis --target redis=127.0.0.1:$port/"$pid" --seconds $seconds
    stop "$pid"
}
# Versions before 2.10 cannot sync every publish: they are measured as they are, and called so.
publish_nats() {
    have nats-server || { skip_peer nats "not installed (Debian package nats-server)"; return 0; }
    name=nats
    printf 'listen: "127.0.0.1:%s"\nmax_connections: 20000\njetstream { store_dir: "%s", %s }\n' \
        $port "$root/$work/nats" "sync_interval: always" >$work/nats.conf
    if ! nats-server -t -c $work/nats.conf >/dev/null 2>&1; then
        name=nats-unsynced
        sed -i 's/, sync_interval: always//' $work/nats.conf
    fi
    start_peer $name "Server is ready" nats-server -c $work/nats.conf || return 0
    client bench_peer --wire nats --target $name=127.0.0.1:$port/"$pid" --seconds $seconds
    stop "$pid"
}
if wanted publish; then
    pin=
    publish --rounds $few
    publish --rounds $few --rate 50000
    publish --rounds 1 --keyed 0
    publish --rounds 1 --keyed 0 --channels 1
    [ $quick = 1 ] || publish --rounds 1 --channels 100000
    if [ $peers = 1 ]; then
        publish_redis
        publish_nats
    fi
fi

# ---- heartbeats ----
if wanted heartbeat; then
    pin=1
    durable= && start_both
    client bench_heartbeat $targets --agents $agents --seconds $seconds --rounds $few
    stop $pids
fi

# ---- tasks, messages and coordination: there is no floor for what they mean, so the hub alone ----
start_hub() { # on an empty directory
    rm -rf $work/data
    start hub "$hub" --listen 127.0.0.1:0 --data $work/data --anonymous-role admin --process-inspectable yes ${WAGGLED_FLAGS:-}
}
# A virtual machine gives free memory back to its host, and is slow to get it again: what the files
# of a round will need in the page cache is touched first.
warm_memory() {
    dd if=/dev/zero of=$work/warm bs=1M count=2048 2>/dev/null || true
    rm -f $work/warm
}
# Each round on a hub of its own: the next would be measured beside the auditor, which has much to
# read by then.
tasks() {
    round=0
    while [ $round -lt $few ]; do
        round=$((round + 1))
        rm -rf $work/data
        warm_memory
        start_hub && client bench_tasks --target hub="$address/$pid" --seconds $seconds --rounds 1 "$@"
        stop "$pid"
    done
}
# What one of them costs the writer, by the simulation: writer_alone WHAT OPTIONS…
writer_alone() {
    what=$1
    shift
    note "sim $*"
    $bin/sim "$@" | sed -n "s,^[0-9]* $what .*: \([0-9]*\) a second.*CPU\, \([0-9.]*\) micro.*,writer target=hub of=$what per_s=\1 cpu_us=\2,p" >>$results
}
if wanted tasks && [ -x "$hub" ]; then
    pin=
    tasks --agents 128 --slots 64 --outstanding 8000
    tasks --agents 500 --slots 16
    tasks --outstanding 1 --stepwise 1
    tasks --agents $agents --slots 4 --rate 5000
    if [ -x $bin/sim ]; then # the writer alone, on a disk of memory
        writer_alone tasks --tasks-throughput
    fi
fi
if wanted messages && [ -x "$hub" ]; then
    pin=
    for kind in message cursor; do
        start_hub && client bench_messages --target hub="$address/$pid" --kind $kind --seconds $seconds --rounds $few
        client bench_messages --target hub="$address/$pid" --kind $kind --seconds $seconds --rounds $few --outstanding 1
        stop "$pid"
    done
    [ ! -x $bin/sim ] || writer_alone messages --messages-throughput --agents 500
fi
if wanted coordination && [ -x "$hub" ]; then
    pin=
    start_hub && client bench_coordination --target hub="$address/$pid" --tasks $paged
    stop "$pid"
fi

# ---- coming back: replay, resume, start ----
if wanted back && [ -x "$hub" ]; then
    pin=1
    printf '[namespace bench]\nhistory_events = 20000000\nhistory_age = 24h\nhistory_bytes = 16GiB\n' \
        >$work/keep.conf
    start hub "$hub" --listen 127.0.0.1:0 --data $work/back --anonymous-role admin --process-inspectable yes \
        --config $work/keep.conf ${WAGGLED_FLAGS:-} &&
        client bench_back --target hub="$address/$pid" --events $replayed --clients $agents --rounds $few
    stop "$pid"
    rm -rf $work/back
fi
if wanted start && [ -x "$hub" ]; then
    pin=
    client bench_start "$hub" $work/start $stored $few
    rm -rf $work/start
fi

# ---- the table ----
{
    awk -f tests/bench/table.awk $results
    echo
    awk -F': *' '/^model name/ { print "Machine: " $2 ", " cores " cores, Linux " kernel "."; exit }' \
        cores="$cores" kernel="$(uname -r)" /proc/cpuinfo
    echo "Load of the machine before the run: $busy. What else runs makes every figure worse."
    if [ "$cores" -gt 1 ]; then
        echo "Fan-out and heartbeats: servers on core $server_cpus, the client on core $client_cpu; the rest unpinned."
    fi
    echo "Command: \`$(echo "$command_line" | sed 's/ *$//')\`, $(date -u +%Y-%m-%d), $(git rev-parse --short HEAD 2>/dev/null || echo "no git")."
} >$work/table
[ -z "$out" ] || cp $work/table "$out"
cat $work/table
! grep -q "^failed" $results
