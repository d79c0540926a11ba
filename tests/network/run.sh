#!/bin/sh
# tests/network/run.sh: bad lines, jumping clocks, and (as root) a network of our own.
#
# Partitions, drops, resets and narrow links are made in two network namespaces that exist for this
# run only; nothing is changed on the machine's own network. Where that cannot be, the reason is
# printed and the proxy of line.test.mjs alone stands for it.
set -u
cd "$(dirname "$0")" || exit 1

namespace=waggle-hub-$$
status=0
file_s=600
[ "${WAGGLE_LONG-}" != 1 ] || file_s=3600

# Stories have deadlines, and lines and clients end with them: this is for a fault of the tests
# themselves, which must not hang the run.
judge() {
    timeout -k 10 "$file_s" node --test --test-reporter=spec "$1"
    got=$?
    [ $got -ne 124 ] && [ $got -ne 137 ] || echo "run.sh: $1 ended after $file_s seconds"
    [ $got -eq 0 ] || status=1
}

finish() {
    ip netns del "$namespace" 2>/dev/null
}

# Inside the clients' namespace: the hub's is joined to it by a pair of interfaces.
join() {
    ip link set lo up &&
        ip netns add "$1" &&
        ip link add bee0 type veth peer name hub0 netns "$1" &&
        ip addr add 10.231.77.1/24 dev bee0 && ip link set bee0 up &&
        ip netns exec "$1" ip link set lo up &&
        ip netns exec "$1" ip addr add 10.231.77.2/24 dev hub0 &&
        ip netns exec "$1" ip link set hub0 up
}

case "${1-}" in
--joined) # the clients' side, started by unshare below
    if ! join "$2"; then
        echo 'namespace: skipped: this kernel gives no namespaces or no veth'
        exit 77
    fi
    export WAGGLE_HUB_NETNS="$2"
    judge namespace.test.mjs
    exit $status
    ;;
esac

judge line.test.mjs
judge clock.test.mjs
if [ "$(id -u)" -ne 0 ]; then
    echo 'namespace: skipped: network namespaces are for root'
elif ! command -v nft >/dev/null || ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
    echo 'namespace: skipped: nft, ip or unshare is not here (Debian: nftables, iproute2, util-linux)'
else
    trap finish EXIT
    trap 'exit 130' INT TERM
    unshare --net sh run.sh --joined "$namespace"
    got=$?
    [ $got -eq 0 ] || [ $got -eq 77 ] || status=1
fi
exit $status
