#!/bin/sh
# deploy/demo.sh: a small swarm of real agent processes.
#
#   WAGGLE_URL=… WAGGLE_API_KEY_FILE=… sh deploy/demo.sh WAGGLE KEYS
#
#   WAGGLE   the command line's binary
#   KEYS     a folder for the keys that the agents sign their ballots with
#
#   WAGGLE_DEMO_PAUSE=N   the bees take N seconds for each piece of work: time to pull a plug
#
# Runs until SIGTERM, at which the agents take their leave. One that is killed is started again, as a
# service manager would do. What they say goes to stderr.
set -eu

waggle=$1
keys=$2
mkdir -p "$keys"
chmod 700 "$keys"

# The items of a task, told apart from what else is in it, and their words counted.
# shellcheck disable=SC2016 # the agent's shell expands it
count='sleep ${WAGGLE_DEMO_PAUSE:-0}; sed '\''s/.*"items":\[//; s/\].*//'\'' | tr ,\" " " | wc -w'

# keep ID ARGUMENTS…: an agent's life after life. A code is its own word that it is done.
keep() {
    agent=
    leaving=no
    trap 'leaving=yes; [ -z "$agent" ] || kill -TERM "$agent" 2>/dev/null || true' TERM
    id=$1
    shift
    rc=128
    while [ $rc -ge 128 ] && [ $leaving = no ]; do
        "$waggle" agent run --id "$id" --leave --signing-key "$keys/$id.key" "$@" &
        agent=$!
        [ $leaving = no ] || kill -TERM "$agent" 2>/dev/null || true
        rc=0
        wait "$agent" || rc=$?
        while kill -0 "$agent" 2>/dev/null; do # a signal of our own has cut the wait short
            rc=0
            wait "$agent" || rc=$?
        done
        agent=
    done
}

keepers=
keep_up() {
    keep "$@" &
    keepers="$keepers $!"
}
# shellcheck disable=SC2086 # a list of pids
trap 'kill -TERM $keepers 2>/dev/null || true' TERM INT HUP

keep_up bee-1 --type worker --capability count --capability forage --slots 2 --vote first --exec "$count"
keep_up bee-2 --type worker --capability count --slots 2 --vote first --exec "$count"
keep_up bee-3 --type worker --capability count --capability build --slots 2 --vote first --exec "$count"
keep_up scout-1 --type specialist --capability search --vote first
keep_up guard-1 --type monitor --capability inspect --vote random

for keeper in $keepers; do
    while kill -0 "$keeper" 2>/dev/null; do
        wait "$keeper" || true
    done
done
