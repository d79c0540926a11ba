#include "hub/api/metrics.h"
#include "hub/messages/module.h"

#include <stdio.h>

/* clang-format off */
static const char *const wire_names[WIRE_COUNT] = { [WIRE_NATIVE] = "native", [WIRE_REST] = "rest" };
static const char *const class_names[CLASS_COUNT] = {
    [CLASS_LIVE] = "live", [CLASS_DURABLE] = "durable", [CLASS_CONTROL] = "control" };
static const char *const drop_names[DROP_COUNT] = {
    [DROP_SLOW_LIVE] = "slow_live", [DROP_SLOW_CLOSED] = "slow_closed", [DROP_FELL_BEHIND] = "fell_behind",
    [DROP_CONFLATED] = "conflated" };

static const char *const work_names[WORK_COUNT] = {
    [WORK_LOOP] = "loop", [WORK_TALK] = "talk", [WORK_ACCEPT] = "accept", [WORK_READ] = "read", [WORK_CLOSE] = "close",
    [WORK_TIMERS] = "timers", [WORK_DELIVER] = "deliver", [WORK_SEND] = "send", [WORK_CATCH_UP] = "catch_up",
    [WORK_STARVED] = "starved" };

/* Counters of the I/O threads, summed. n counters lie one after another from offset on, labelled by names. */
struct row {
    const char *name, *help;
    size_t offset;
    bool gauge;
    const char *label;
    const char *const *names;
    size_t n;
    const char *label2;
    const char *const *names2;
    size_t n2;
};
#define AT(field) offsetof(struct io_counters, field)
static const struct row rows[] = {
    { "waggle_connections", "Open connections.", AT(connections), true, "wire", wire_names, WIRE_COUNT, NULL, NULL, 0 },
    { "waggle_connections_accepted_total", "Connections accepted.", AT(accepted), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_connections_refused_total", "Connections refused for want of room.", AT(refused), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_handshakes_total", "WebSocket handshakes.", AT(handshakes), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_messages_in_total", "Messages received.", AT(messages_in), false, "wire", wire_names, WIRE_COUNT, "class", class_names, CLASS_COUNT },
    { "waggle_messages_out_total", "Messages sent.", AT(messages_out), false, "wire", wire_names, WIRE_COUNT, "class", class_names, CLASS_COUNT },
    { "waggle_bytes_in_total", "Bytes received.", AT(bytes_in), false, "wire", wire_names, WIRE_COUNT, NULL, NULL, 0 },
    { "waggle_bytes_out_total", "Bytes sent.", AT(bytes_out), false, "wire", wire_names, WIRE_COUNT, NULL, NULL, 0 },
    { "waggle_queue_bytes", "Bytes copied for peers that did not take them yet.", AT(queue_bytes), true, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_catching_up_connections", "Connections that read on from the log.", AT(catching_up), true, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_subscriptions", "Subscriptions to channels.", AT(subscriptions), true, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_drops_total", "Events not sent as they came, by reason.", AT(drops), false, "reason", drop_names, DROP_COUNT, NULL, NULL, 0 },
    { "waggle_rate_limited_total", "Requests and publishes refused by a rate limit.", AT(rate_limited), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_requests_total", "HTTP requests answered.", AT(requests), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_requests_failed_total", "HTTP requests answered with 5xx.", AT(requests_failed), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_protocol_errors_total", "Requests and frames that were not well-formed.", AT(protocol_errors), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_closed_slow_total", "Connections closed because their peer was too slow.", AT(closes_slow), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_closed_silent_total", "Connections closed because their peer was silent.", AT(closes_silent), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_replayed_events_total", "Events sent from the log.", AT(replayed_events), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_replayed_bytes_total", "Bytes of events sent from the log.", AT(replayed_bytes), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_loop_turns_total", "Turns of the I/O loops.", AT(ticks), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_loop_turns_long_total", "Turns in which finding whom events are for took longer than half a millisecond.", AT(ticks_long), false, NULL, NULL, 1, NULL, NULL, 0 },
    { "waggle_tray_starved_total", "Times an I/O thread had no tray and read no sockets.", AT(starved), false, NULL, NULL, 1, NULL, NULL, 0 },
};
/* clang-format on */

static uint64_t sum_at(const struct hub *hub, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < hub->threads_n; i++) {
        const char *counters = (const char *)&hub->ios[i]->counters;
        sum += atomic_load_explicit((const io_counter *)(const void *)(counters + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

static void head(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_row(const struct hub *hub, const struct row *row, struct buf *out)
{
    head(out, row->name, row->help, row->gauge ? "gauge" : "counter");
    size_t inner = row->n2 ? row->n2 : 1;
    for (size_t i = 0; i < row->n * inner; i++) {
        buf_add_str(out, row->name);
        if (row->label && row->n2) {
            buf_printf(out, "{%s=\"%s\",%s=\"%s\"}", row->label, row->names[i / inner], row->label2,
                       row->names2[i % inner]);
        } else if (row->label) {
            buf_printf(out, "{%s=\"%s\"}", row->label, row->names[i]);
        }
        buf_printf(out, " %llu\n",
                   (unsigned long long)sum_at(hub, row->offset + i * sizeof(io_counter)));
    }
}

static void single(struct buf *out, const char *name, const char *help, const char *type,
                   double value)
{
    head(out, name, help, type);
    buf_printf(out, "%s %.17g\n", name, value);
}

static void put_auth(const struct hub *hub, struct buf *out)
{
    static const char name[] = "waggle_auth_failures_total";
    head(out, name, "Credentials refused, by reason.", "counter");
    for (unsigned i = ADMIT_OK + 1; i < ADMIT_RC_COUNT; i++) {
        buf_printf(out, "%s{reason=\"%s\"} %llu\n", name, admit_rc_name((enum admit_rc)i),
                   (unsigned long long)sum_at(hub, AT(auth_failures) + i * sizeof(io_counter)));
    }
}

static void histogram(struct buf *out, const char *name, const char *help, const uint64_t *buckets,
                      double unit, double sum)
{
    uint64_t total = 0;
    double bound = unit;
    head(out, name, help, "histogram");
    for (unsigned i = 0; i < WRITER_BUCKETS; i++) {
        total += buckets[i];
        if (i + 1 < WRITER_BUCKETS) {
            buf_printf(out, "%s_bucket{le=\"%.9g\"} %llu\n", name, bound,
                       (unsigned long long)total);
        }
        bound *= 2;
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name,
               (unsigned long long)total, name, sum, name, (unsigned long long)total);
}

static void put_loops(const struct hub *hub, struct buf *out)
{
    static const char name[] = "waggle_loop_work_seconds_total";
    uint64_t turns[WRITER_BUCKETS];
    for (unsigned i = 0; i < WRITER_BUCKETS; i++) {
        turns[i] = sum_at(hub, AT(turn_us_bucket) + i * sizeof(io_counter));
    }
    histogram(out, "waggle_loop_turn_seconds",
              "Time of one turn of an I/O loop, from its news until it waits for more.", turns,
              64e-6, (double)sum_at(hub, AT(turn_us)) / 1e6);
    head(out, name, "What the time of those turns went into.", "counter");
    for (unsigned i = 0; i < WORK_COUNT; i++) {
        buf_printf(out, "%s{work=\"%s\"} %.9g\n", name, work_names[i],
                   (double)sum_at(hub, AT(work_us) + i * sizeof(io_counter)) / 1e6);
    }
}

static void put_writer(const struct hub *hub, struct buf *out)
{
    struct writer_stats s;
    writer_stats(hub->writer, &s);
    histogram(out, "waggle_batch_commands", "Commands of one batch of the writer.", s.batch_size, 1,
              (double)s.commands);
    histogram(out, "waggle_commit_seconds", "Time of one commit, its sync to disk included.",
              s.commit_us_bucket, 64e-6, (double)s.commit_us / 1e6);
    single(out, "waggle_commands_total", "Commands applied by the writer.", "counter",
           (double)s.commands);
    single(out, "waggle_events_total", "Events let out by the writer.", "counter",
           (double)s.events);
    single(out, "waggle_batches_aborted_total", "Batches that were not committed.", "counter",
           (double)s.aborted);
    single(out, "waggle_writer_lag_seconds", "How late the last stored timer ran.", "gauge",
           (double)s.lag_ms / 1000);
}

static void put_log(const struct hub *hub, struct buf *out)
{
    struct log_stats s;
    log_stats(hub->log, &s);
    single(out, "waggle_journal_records", "Records in the journal.", "gauge",
           (double)s.journal_records);
    single(out, "waggle_journal_bytes", "Bytes of records in the journal.", "gauge",
           (double)s.journal_bytes);
    single(out, "waggle_journal_last_sequence", "Newest sequence.", "gauge",
           (double)s.journal_last_seq);
    single(out, "waggle_blocks_written_total", "Blocks written.", "counter",
           (double)s.blocks_written);
    single(out, "waggle_blocks_dropped_total", "Blocks dropped by retention.", "counter",
           (double)s.blocks_dropped);
    single(out, "waggle_idempotency_keys", "Keys of publishes that are known.", "gauge",
           (double)s.keys);
    single(out, "waggle_idempotency_repeats_total", "Publishes that were repeats.", "counter",
           (double)s.keys_repeated);
    single(out, "waggle_channels", "Channels ever made.", "gauge", (double)s.channels);
    single(out, "waggle_channels_active", "Channels with records in the journal.", "gauge",
           (double)s.channels_active);
    single(out, "waggle_start_scan_seconds", "How long the start read the journal.", "gauge",
           (double)s.scan_ms / 1000);
}

static void put_store(const struct hub *hub, struct buf *out)
{
    struct store_usage u;
    if (store_usage(hub->store, &u) != STORE_OK) {
        return;
    }
    single(out, "waggle_store_used_bytes", "Bytes of the store in use.", "gauge",
           (double)u.bytes_used);
    single(out, "waggle_store_file_bytes", "Size of the data file.", "gauge", (double)u.bytes_file);
    single(out, "waggle_store_quota_bytes", "Ordinary writes are refused past it.", "gauge",
           (double)u.bytes_quota);
    single(out, "waggle_store_full", "1 while ordinary writes are refused.", "gauge",
           store_is_full(hub->store));
    single(out, "waggle_store_readers", "Reader slots in use.", "gauge", (double)u.readers);
    single(out, "waggle_store_reader_lag_transactions", "How far the oldest reader is behind.",
           "gauge", (double)u.reader_lag_txns);
}

static void put_agents(const struct hub *hub, struct buf *out)
{
    static const char name[] = "waggle_agents";
    struct agents_counts counts;
    agents_counts(writer_module(hub->writer, MODULE_AGENTS), &counts);
    uint64_t busy = tasks_busy_agents(writer_module(hub->writer, MODULE_TASKS));
    uint64_t active = counts.by_status[AGENT_ACTIVE]; /* the two are not read at one moment */
    counts.by_status[AGENT_ACTIVE] = active > busy ? active - busy : 0;
    counts.by_status[AGENT_BUSY] += busy < active ? busy : active;
    head(out, name, "Agents by state.", "gauge");
    for (unsigned i = 0; i < AGENT_DEREGISTERED; i++) {
        buf_printf(out, "%s{status=\"%s\"} %llu\n", name, agent_status_name((enum agent_status)i),
                   (unsigned long long)counts.by_status[i]);
    }
}

static void put_tasks(const struct hub *hub, struct buf *out)
{
    static const char states[] = "waggle_tasks", queues[] = "waggle_tasks_queued";
    static const char wait[] = "waggle_task_offer_seconds";
    struct tasks_figures f;
    uint64_t sum = 0;
    tasks_figures(writer_module(hub->writer, MODULE_TASKS), 0, &f);
    head(out, states, "Tasks by state.", "gauge");
    for (unsigned i = TASK_NONE + 1; i < TASK_STATES; i++) {
        buf_printf(out, "%s{state=\"%s\"} %llu\n", states, task_state_name((enum task_state)i),
                   (unsigned long long)f.totals.in_state[i]);
    }
    head(out, queues, "Tasks that wait for an agent, by priority.", "gauge");
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        buf_printf(out, "%s{priority=\"%s\"} %llu\n", queues,
                   task_priority_name((enum task_priority)i), (unsigned long long)f.queued[i]);
    }
    head(out, wait, "From being queued to being offered to an agent.", "histogram");
    for (unsigned i = 0; i < TASK_WAIT_BUCKETS - 1; i++) {
        sum += f.wait_ms[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", wait, (double)(1u << i) / 1000,
                   (unsigned long long)sum);
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %g\n%s_count %llu\n", wait,
               (unsigned long long)f.offers, wait, (double)f.offer_wait_ms / 1000, wait,
               (unsigned long long)f.offers);
    single(out, "waggle_task_redeliveries_total", "Tasks whose agent was lost.", "counter",
           (double)f.totals.redelivered);
    single(out, "waggle_task_rejections_total", "Offers that were refused or not answered.",
           "counter", (double)f.totals.rejected);
}

static void put_messages(const struct hub *hub, struct buf *out)
{
    static const char name[] = "waggle_messages_open";
    struct messages_counts counts;
    messages_counts(writer_module(hub->writer, MODULE_MESSAGES), &counts);
    head(out, name, "Messages to agents that are not settled.", "gauge");
    buf_printf(out, "%s{state=\"waiting\"} %llu\n", name, (unsigned long long)counts.waiting);
    buf_printf(out, "%s{state=\"delivered\"} %llu\n", name, (unsigned long long)counts.in_flight);
    single(out, "waggle_mailboxes", "Agents with such messages.", "gauge",
           (double)counts.mailboxes);
}

void metrics_write(const struct io *io, struct buf *out)
{
    const struct hub *hub = io->hub;
    head(out, "waggle_info", "Version of the hub.", "gauge");
    buf_printf(out, "waggle_info{version=\"%s\"} 1\n", hub->version);
    single(out, "waggle_uptime_seconds", "Since the start.", "gauge",
           (double)(io->now_ms - hub->started_ms) / 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_row(hub, &rows[i], out);
    }
    put_auth(hub, out);
    put_loops(hub, out);
    put_writer(hub, out);
    put_log(hub, out);
    put_store(hub, out);
    put_agents(hub, out);
    put_tasks(hub, out);
    put_messages(hub, out);
}

static uint64_t sum_n(const struct hub *hub, size_t offset, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += sum_at(hub, offset + i * sizeof(io_counter));
    }
    return sum;
}

void hub_figures(const struct hub *hub, struct hub_figures *out)
{
    struct agents_counts counts;
    struct writer_stats stats;
    agents_counts(writer_module(hub->writer, MODULE_AGENTS), &counts);
    writer_stats(hub->writer, &stats);
    size_t all = (size_t)WIRE_COUNT * CLASS_COUNT;
    *out = (struct hub_figures){.connections = sum_n(hub, AT(connections), WIRE_COUNT),
                                .subscriptions = sum_at(hub, AT(subscriptions)),
                                .events_out = sum_n(hub, AT(messages_out), all),
                                .events_in = sum_n(hub, AT(messages_in), all),
                                .bytes_out = sum_n(hub, AT(bytes_out), WIRE_COUNT),
                                .queue_bytes = sum_at(hub, AT(queue_bytes)),
                                .catching_up = sum_at(hub, AT(catching_up)),
                                .agents_active = counts.by_status[AGENT_ACTIVE],
                                .agents_stale = counts.by_status[AGENT_STALE],
                                .commits = stats.batches,
                                .commit_us = stats.commit_us};
    for (unsigned i = 0; i < AGENT_DEREGISTERED; i++) {
        out->agents_total += counts.by_status[i];
    }
    tasks_figures(writer_module(hub->writer, MODULE_TASKS), 0, &out->tasks);
}

/* Every state counts a task once, so those that are over only grow. */
static uint64_t tasks_in(const struct hub_figures *f, enum task_state first, enum task_state last)
{
    uint64_t sum = 0;
    for (enum task_state state = first; state <= last; state++) {
        sum += f->tasks.totals.in_state[state];
    }
    return sum;
}

static uint64_t tasks_waiting(const struct hub_figures *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        sum += f->tasks.queued[i];
    }
    return sum;
}

static void put_figures(struct json_out *o, const struct hub *hub, const struct hub_figures *f,
                        int64_t now_ms)
{
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"connections", f->connections},
                   {"subscriptions", f->subscriptions},
                   {"messages_in", f->events_in},
                   {"messages_out", f->events_out},
                   {"bytes_out", f->bytes_out},
                   {"queue_bytes", f->queue_bytes},
                   {"catching_up", f->catching_up},
                   {"agents", f->agents_total},
                   {"agents_active", f->agents_active},
                   {"agents_stale", f->agents_stale},
                   {"commits", f->commits},
                   {"commit_us", f->commit_us},
                   {"tasks_queued", tasks_waiting(f)},
                   {"tasks_running", tasks_in(f, TASK_LEASED, TASK_RUNNING)},
                   {"tasks_submitted_total", tasks_in(f, TASK_NONE + 1, TASK_STATES - 1)},
                   {"tasks_completed_total", tasks_in(f, TASK_COMPLETED, TASK_COMPLETED)},
                   {"tasks_failed_total",
                    tasks_in(f, TASK_DEAD, TASK_DEAD) + tasks_in(f, TASK_EXPIRED, TASK_EXPIRED)},
                   {"offers_total", f->tasks.offers},
                   {"offer_wait_ms_total", f->tasks.offer_wait_ms}};
    json_begin(o, '{');
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        json_key(o, figures[i].name);
        json_u64(o, figures[i].value);
    }
    json_key(o, "uptime_seconds");
    json_double(o, (double)(now_ms - hub->started_ms) / 1000);
    json_end(o, '}');
}

void hub_figures_tell(struct io *io)
{
    struct slice channel = slice_str("hub");
    struct buf data = {0};
    for (size_t i = 0; i < apps_count(io->apps); i++) {
        uint32_t app = apps_at(io->apps, i)->number;
        if (!interest_of(io->hub->interest, io_channel_hash(io, app, channel))) {
            continue;
        }
        if (data.n == 0) {
            struct hub_figures figures;
            struct json_out o = json_out_to(&data);
            hub_figures(io->hub, &figures);
            put_figures(&o, io->hub, &figures, io->now_ms);
        }
        struct io_publish publish = {.app = app,
                                     .event = {.kind = EVENT_MESSAGE,
                                               .channel = channel,
                                               .name = slice_str("figures"),
                                               .data = buf_slice(&data),
                                               .time_ms = io->now_ms},
                                     .options = io_options(io, app, channel)};
        bool live;
        (void)io_publish(io, &publish,
                         &live); /* without a tray this second's figures are left out */
    }
    buf_done(&data);
}
