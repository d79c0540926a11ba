# Turns the lines of the benchmark's programs (key=value) into the table of docs/benchmarks.md.
# A goal is judged on the hub's figure; a row without a goal is there to be compared.

function number(v, digits) { return v == "" ? "–" : sprintf("%." digits "f", v) }
function thousands(v,   s) {
    if (v == "") return "–"
    s = sprintf("%.0f", v)
    while (match(s, /[0-9][0-9][0-9][0-9]($|,)/)) s = substr(s, 1, RSTART) "," substr(s, RSTART + 1)
    return s
}
function unit(v, digits, name) { return v == "" ? "–" : sprintf("%." digits "f %s", v, name) }
function verdict(known, met) { return known == "" ? "not measured" : met ? "met" : "**missed**" }
# When the floor misses the goal in the same minute, the machine or the client was the limit.
function verdict_beside(known, met, floor_met) {
    return verdict(known, met) (known != "" && !met && !floor_met ? ", as did the floor" : "")
}
function row(work, goal, hub, floor, ratio, peers, cpu, met) {
    print "| " work " | " goal " | " hub " | " floor " | " ratio " | " (peers == "" ? "–" : peers) \
          " | " cpu " | " met " |"
}

# A line's place: program, target and what tells its rows apart.
{
    delete f
    for (i = 2; i <= NF; i++) {
        at = index($i, "=")
        f[substr($i, 1, at - 1)] = substr($i, at + 1)
    }
    if ($1 == "fanout") {
        sub(/\..*/, "", f["channel"])
        place = "fanout " f["channel"] " " f["burst"]
    } else if ($1 == "idle") {
        place = "idle " f["tls"]
    } else if ($1 == "publish") {
        keyed = f["keyed"] == "" ? 1 : f["keyed"]
        place = "publish " f["mode"] " " keyed " " f["channels"]
    } else if ($1 == "tasks") {
        place = "tasks " f["mode"] (f["mode"] == "closed" ? " " f["agents"] : "")
    } else if ($1 == "messages") {
        place = "messages " f["kind"] " " f["mode"]
    } else if ($1 == "writer") {
        place = "writer " f["of"]
    } else {
        place = $1
    }
    times = ++lines[place, f["target"]]
    for (key in f) values[place, f["target"], key, times] = f[key]
    if (f["target"] != "") target[f["target"]] = 1
    if ($1 == "failed") failed = failed " " f["program"]
    if ($1 == "skipped") skipped = skipped " " f["peer"]
}

# Of a place that was measured several times the median: of each figure by itself.
function get(place, who, key,   n, i, j, v) {
    n = lines[place, who] + 0
    if (n == 0) return ""
    for (i = 1; i <= n; i++) {
        v[i] = values[place, who, key, i]
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
            swap = v[j]
            v[j] = v[j - 1]
            v[j - 1] = swap
        }
    }
    return v[int((n + 1) / 2)]
}

# The least and the most of them, when there are several.
function range(place, who, key,   n, i, least, most) {
    n = lines[place, who] + 0
    if (n < 2) return ""
    least = most = values[place, who, key, 1] + 0
    for (i = 2; i <= n; i++) {
        if (values[place, who, key, i] + 0 < least) least = values[place, who, key, i] + 0
        if (values[place, who, key, i] + 0 > most) most = values[place, who, key, i] + 0
    }
    return least == most ? "" : least ":" most
}
function between(place, who, key, digits,   ends) {
    if (split(range(place, who, key), ends, ":") < 2) return ""
    return " (" (digits ? number(ends[1], digits) " to " number(ends[2], digits) \
                        : thousands(ends[1]) " to " thousands(ends[2])) ")"
}

function fanout(channel, burst, goal,   p, q, met, peers) {
    p = "fanout " channel " " burst
    q = "fanout peer " burst
    met = get(p, "hub", "ratio") + 0 <= goal + 0
    if (channel == "live" && get(q, "ws", "ratio") != "")
        peers = "ws " number(get(q, "ws", "cpu_ns"), 0) " ns, " number(get(q, "ws", "ratio"), 2) "x"
    row("fan-out " (channel == "live" ? "live" : "durable") ", 1,000 subscribers, 128 B, " burst " a tick",
        "≤ " goal "x", unit(get(p, "hub", "cpu_ns"), 0, "ns"), unit(get(p, "floor", "cpu_ns"), 0, "ns"),
        get(p, "hub", "ratio") == "" ? "–" : number(get(p, "hub", "ratio"), 2) "x",
        peers, unit(get(p, "hub", "cpu_ns"), 0, "ns a delivery"),
        verdict(get(p, "hub", "ratio"), met))
}

function idle(tls, name, goal,   p, peers) {
    p = "idle " tls
    if (get(p, "ws", "rss_kib") != "") peers = "ws " number(get(p, "ws", "rss_kib"), 2) " KiB"
    row("idle " thousands(get(p, "floor", "conns")) " " name " connections", "≤ " goal " KiB each",
        unit(get(p, "hub", "rss_kib"), 2, "KiB"), unit(get(p, "floor", "rss_kib"), 2, "KiB"), "–", peers,
        get(p, "hub", "handshake_cpu_us") == "" ? "–" : number(get(p, "hub", "handshake_cpu_us"), 0) " µs a handshake",
        verdict(get(p, "hub", "rss_kib"), get(p, "hub", "rss_kib") + 0 <= goal + 0))
}

function publish_peers(place,   i, n, names, out) {
    n = split("redis nats nats-unsynced", names, " ")
    for (i = 1; i <= n; i++)
        if (get(place, names[i], "per_s") != "")
            out = out (out == "" ? "" : "; ") names[i] " " thousands(get(place, names[i], "per_s")) \
                  "/s, " number(get(place, names[i], "cpu_us"), 1) " µs"
    return out
}

function publish(work, place, goal,   hub, peers) {
    hub = get(place, "hub", "per_s")
    row(work, goal == "" ? "–" : "≥ " thousands(goal) "/s",
        hub == "" ? "–" : thousands(hub) "/s, p50 " number(get(place, "hub", "p50_us") / 1000, 1) " ms, p99 " \
                         number(get(place, "hub", "p99_us") / 1000, 1) " ms, " \
                         number(get(place, "hub", "per_sync"), 0) " a sync",
        get(place, "floor", "per_s") == "" ? "–" : thousands(get(place, "floor", "per_s")) "/s",
        hub == "" ? "–" : number(get(place, "hub", "rate_ratio"), 2) "x the rate, " \
                         number(get(place, "hub", "cpu_ratio"), 2) "x the CPU",
        publish_peers(place), hub == "" ? "–" : number(get(place, "hub", "cpu_us"), 2) " µs a publish",
        goal == "" ? "–" : verdict_beside(hub, hub + 0 >= goal, get(place, "floor", "per_s") + 0 >= goal))
}

function paced(   p, hub) {
    p = "publish paced 1 1000"
    hub = get(p, "hub", "p99_us")
    row("durable publish paced at 50,000/s", "p99 < 10 ms",
        hub == "" ? "–" : "p50 " number(get(p, "hub", "p50_us") / 1000, 2) " ms, p99 " number(hub / 1000, 2) \
                         " ms at " thousands(get(p, "hub", "per_s")) "/s",
        get(p, "floor", "p99_us") == "" ? "–" : "p99 " number(get(p, "floor", "p99_us") / 1000, 2) " ms",
        hub == "" ? "–" : number(get(p, "hub", "cpu_ratio"), 2) "x the CPU", "",
        hub == "" ? "–" : number(get(p, "hub", "cpu_us"), 2) " µs a publish",
        verdict_beside(hub, hub + 0 < 10000 && get(p, "hub", "per_s") + 0 >= 49000,
                       get(p, "floor", "p99_us") + 0 < 10000 && get(p, "floor", "per_s") + 0 >= 49000))
}

function heartbeat(   p, hub) {
    p = "heartbeat"
    hub = get(p, "hub", "per_s")
    row("heartbeats, " thousands(get(p, "floor", "agents")) " agents over WebSocket", "100,000/s, ≤ 8 µs each",
        hub == "" ? "–" : thousands(hub) "/s, p99 " number(get(p, "hub", "p99_us") / 1000, 1) " ms, client at " \
                         number(get(p, "hub", "client_core") * 100, 0) " %",
        get(p, "floor", "cpu_us") == "" ? "–" : number(get(p, "floor", "cpu_us"), 2) " µs at " thousands(get(p, "floor", "per_s")) "/s",
        hub == "" ? "–" : number(get(p, "hub", "cpu_ratio"), 2) "x", "",
        hub == "" ? "–" : number(get(p, "hub", "cpu_us"), 2) " µs a beat",
        verdict_beside(hub, hub + 0 >= 99000 && get(p, "hub", "cpu_us") + 0 <= 8,
                       get(p, "floor", "per_s") + 0 >= 99000 && get(p, "floor", "cpu_us") + 0 <= 8))
}

function tasks(work, mode, goal,   p, hub) {
    p = "tasks " mode
    hub = get(p, "hub", "per_s")
    row(work, goal == "" ? "–" : "≥ " thousands(goal) "/s",
        hub == "" ? "–" : thousands(hub) "/s" between(p, "hub", "per_s", 0) ", p50 " \
                         number(get(p, "hub", "p50_ms"), 1) " ms, p99 " number(get(p, "hub", "p99_ms"), 1) " ms",
        "–", "–", "", unit(get(p, "hub", "cpu_us"), 1, "µs a task"),
        goal == "" ? "–" : verdict(hub, hub + 0 >= goal))
}

function messages(work, kind, mode,   p, hub) {
    p = "messages " kind " " mode
    hub = get(p, "hub", "per_s")
    row(work, "–", hub == "" ? "–" : thousands(hub) "/s, delivered p50 " number(get(p, "hub", "delivery_p50_ms"), 1) \
                         " ms, acked p50 " number(get(p, "hub", "p50_ms"), 1) " ms, p99 " \
                         number(get(p, "hub", "p99_ms"), 1) " ms",
        "–", "–", "", unit(get(p, "hub", "cpu_us"), 1, "µs each"), "–")
}

function dispatch(   p, hub) {
    p = "tasks paced"
    hub = get(p, "hub", "dispatch_p99_ms")
    row("dispatch, " thousands(get(p, "hub", "agents")) " agents, paced at " thousands(get(p, "hub", "asked_per_s")) " tasks/s",
        "p99 < 5 ms", hub == "" ? "–" : "p50 " number(get(p, "hub", "dispatch_p50_ms"), 2) " ms, p99 " \
                         number(hub, 2) " ms" between(p, "hub", "dispatch_p99_ms", 2) " at " thousands(get(p, "hub", "per_s")) "/s",
        "–", "–", "", unit(get(p, "hub", "cpu_us"), 1, "µs a task"),
        verdict(hub, hub + 0 < 5 && get(p, "hub", "per_s") + 0 >= 4900))
}

function writer(of, command, each, goal,   place, hub) {
    place = "writer " of
    hub = get(place, "hub", "per_s")
    row(of ", the writer alone, disk in memory (`tests/sim " command "`)",
        goal == "" ? "–" : "≥ " thousands(goal) "/s", hub == "" ? "–" : thousands(hub) "/s of its CPU",
        "–", "–", "", unit(get(place, "hub", "cpu_us"), 1, each),
        goal == "" ? "–" : verdict(hub, hub + 0 >= goal))
}

function asked(work, place, share, goal,   hub) {
    hub = get(place, "hub", share "_ms")
    row(work, share " < " goal " ms", hub == "" ? "–" : "p50 " number(get(place, "hub", "p50_ms"), 2) " ms, p99 " \
        number(get(place, "hub", "p99_ms"), 2) " ms", "–", "–", "", "–", verdict(hub, hub + 0 < goal))
}

function coordination(   members, m, n, names, what, i) {
    members = thousands(get("swarm_join", "hub", "of"))
    n = split("network_create network_status swarm_join swarm_status swarm_leave", names, " ")
    for (i = 1; i <= n; i++) {
        what = names[i]
        sub(/_/, " ", what)
        asked(what ", " members " members", names[i], "p99", 10)
    }
    asked("round of " thousands(get("consensus", "hub", "of")) " members, from the last ballot to the decision",
          "consensus", "p99", 50)
    asked("a page of 100 of " thousands(get("task_page", "hub", "of")) " tasks", "task_page", "p99", 20)
}

function back(   hub) {
    hub = get("replay", "hub", "per_s")
    row("replay of " thousands(get("replay", "hub", "events")) " events from the log into one connection",
        "≥ 2,000,000/s", hub == "" ? "–" : thousands(hub) "/s", "–", "–", "",
        unit(get("replay", "hub", "cpu_ns"), 0, "ns an event"), verdict(hub, hub + 0 >= 2000000))
    hub = get("resume", "hub", "seconds")
    row(thousands(get("resume", "hub", "clients")) " clients cut off and resumed, " \
        get("resume", "hub", "missed") " events missed each", "≤ 3 s", unit(hub, 2, "s"), "–", "–", "",
        unit(get("resume", "hub", "cpu_us"), 0, "µs a client"), verdict(hub, hub + 0 <= 3))
}

function start(   hub) {
    hub = get("start", "hub", "seconds")
    row("start with " thousands(get("start", "hub", "events")) " events on disk", "< 0.5 s", unit(hub, 3, "s"),
        "–", "–", "", "–", verdict(hub, hub + 0 < 0.5))
}

END {
    print "| work | goal | hub | floor | hub to floor | peers | CPU of the hub | |"
    print "|---|---|---|---|---|---|---|---|"
    split("1.3 1.6 2", goals, " ")
    split("1 16 64", bursts, " ")
    for (i = 1; i <= 3; i++) fanout("live", bursts[i], goals[i])
    for (i = 1; i <= 3; i++) fanout("bench", bursts[i], goals[i])
    idle(0, "plain", 2)
    idle(1, "TLS", 20)
    publish("durable publish, 1,000 connections, 1,000 channels, keyed, 8 outstanding", "publish closed 1 1000", 300000)
    paced()
    publish("the same without keys", "publish closed 0 1000", "")
    publish("without keys, one channel", "publish closed 0 1", "")
    publish("keyed, 100,000 channels", "publish closed 1 100000", "")
    heartbeat()
    tasks("tasks submitted, offered, accepted, completed, frames pipelined, 128 agents of 64 slots", "closed 128", 50000)
    tasks("the same, 500 agents of 16 slots", "closed 500", "")
    tasks("the same one at a time, every step awaited", "single", "")
    dispatch()
    writer("tasks", "--tasks-throughput", "µs a task", 50000)
    messages("messages sent, delivered, acknowledged, frames pipelined", "message", "closed")
    messages("the same one at a time, every step awaited", "message", "single")
    writer("messages", "--messages-throughput --agents 500", "µs each", "")
    messages("events to a named cursor, delivered, acknowledged, frames pipelined", "cursor", "closed")
    messages("the same one at a time, every step awaited", "cursor", "single")
    coordination()
    back()
    start()
    if (skipped != "") print "\nPeers that were not there:" skipped "."
    if (failed != "") print "\nPrograms that failed:" failed "; see stderr."
}
