/* hub/config.h: the hub's configuration: one table of keys; a file of sections, the environment and
 * the command line fill it, in that order of strength (design.md section 8).
 *
 * Owns     its texts.      Threads  the main thread; what others need is copied into hub_settings.
 * Errors   a sentence that names file, line and key, or the flag, at fault.
 */
#ifndef WAGGLE_HUB_CONFIG_H
#define WAGGLE_HUB_CONFIG_H

#include "channels/namespace.h"
#include "hub/core/hub.h"

enum { CONFIG_LIST_MAX = 64 };

struct config_list {
    char *items[CONFIG_LIST_MAX + 1]; /* NULL-terminated */
    size_t n;
};

struct config {
    struct config_list listen, apps, origins;
    char *data_dir, *file, *admin_key, *trust_jwks, *tls_cert, *tls_key, *web_dir, *log_format;
    char *log_level, *anonymous_role, *user, *inspectable, *seccomp;
    const char *folder; /* of the command line, to be verified or restored from */
    uint64_t threads, map_bytes, quota_bytes;
    uint64_t journal_records, key_window_ms, keys_max, reply_window_ms, replies_max;
    uint64_t presence_restart_grace_ms;
    uint64_t rate_requests, rate_calls, rate_address, rate_publishes; /* a minute; 0: none */
    uint64_t message_bytes, body_bytes, head_bytes, queue_bytes, subscriptions, patterns;
    uint64_t connections, handshakes_per_tick, pending;
    uint64_t head_ms, body_ms, idle_ms, auth_ms, heartbeat_ms, drain_ms;
    uint64_t tasks_lease_ms, tasks_accept_ms, tasks_aging_ms, tasks_cancel_grace_ms;
    uint64_t tasks_retry_ms, tasks_retry_max_ms, tasks_attempts, tasks_redeliveries;
    uint64_t agents_interval_ms, agents_timeout_ms, agents_suspect_intervals, agents_beats_per_s;
    uint64_t agents_restart_grace_ms, agents_reconnect_ms;
    uint64_t swarms_absence_ms;
    uint64_t token_ttl_max_ms, key_overlap_ms;
    uint64_t audit_seal_ms, audit_keep_ms;
    struct namespaces *namespaces;
};

enum config_action {
    CONFIG_RUN,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_CHECK,
    CONFIG_VERIFY,
    CONFIG_RESTORE,
    CONFIG_WRONG
};

/* Defaults, then the file (that --config or WAGGLE_CONFIG names), the environment, the flags. */
enum config_action config_load(struct config *config, int argc, char **argv, char **environment,
                               char *out_text, size_t text_n);
void config_done(struct config *config);
/* What the I/O threads and the domain go by: freshly allocated. */
struct hub_settings *config_settings(const struct config *config);
void config_settings_free(struct hub_settings *settings);
/* The keys, by comma, whose new value the running hub cannot take: nothing when there is none. */
void config_waits_for_start(const struct config *running, const struct config *next,
                            struct buf *out);
void config_help(void); /* prints the table */

#endif
