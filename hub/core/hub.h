/* hub/core/hub.h: what all threads of one hub share: constant after start, or made to be shared.
 *
 * Threads  any: fields are constant once the threads run, except the counted ones, which are
 * atomic.
 */
#ifndef WAGGLE_HUB_CORE_HUB_H
#define WAGGLE_HUB_CORE_HUB_H

#include "auth/admission.h"
#include "auth/rate.h"
#include "hub/core/clock.h"
#include "hub/core/writer.h"

/* Limits and manners of the hub, from the configuration (hub/config.c); a SIGHUP replaces them
 * whole. */
struct hub_settings {
    uint32_t message_bytes_max;       /* a WebSocket message */
    uint32_t body_bytes_max;          /* an HTTP body */
    uint32_t head_bytes_max;          /* a request's head */
    uint32_t queue_bytes;             /* waiting for one connection */
    uint32_t subscriptions_max;       /* a connection */
    uint32_t patterns_max;            /* a connection */
    uint32_t connections_max;         /* in all */
    uint32_t connections_per_address; /* 0: no own bound */
    uint32_t handshakes_per_tick;
    uint32_t pending_max; /* commands under way for one connection */
    uint32_t head_ms, body_ms, idle_ms, auth_ms, ping_ms; /* deadlines */
    uint32_t drain_ms;               /* how long closing all connections is spread over */
    struct rate_rule rate_requests;  /* HTTP, per principal */
    struct rate_rule rate_calls;     /* over sockets, per principal */
    struct rate_rule rate_address;   /* unauthenticated requests and handshakes, per address */
    struct rate_rule rate_publishes; /* per principal */
    enum role anonymous_role;
    char **origins;                /* allowed; "*" any; NULL-terminated */
    int64_t heartbeat_interval_ms; /* agents: smallest interval handed out */
    int64_t heartbeat_timeout_ms;  /* agents: inactive after */
    uint32_t suspect_intervals;    /* agents: stale after so many intervals */
    uint32_t beats_per_s_max;      /* agents: intervals grow past that */
    int64_t agent_grace_ms;        /* agents: all of them after a start */
    int64_t agent_reconnect_ms;    /* agents: after a clean close */
    int64_t task_lease_ms;         /* tasks: without a renewal */
    int64_t task_accept_ms;        /* tasks: an offer is answered within */
    int64_t task_aging_ms;         /* tasks: waiting so long lifts one level */
    int64_t task_cancel_grace_ms;  /* tasks: an agent stops within */
    int64_t task_retry_ms;         /* tasks: the first retry waits so long at most */
    int64_t task_retry_max_ms;
    uint32_t task_attempts_max, task_redeliveries_max;
    int64_t swarm_absence_ms; /* swarms: a seat is kept so long for an agent that is away */
    int64_t token_ttl_max_ms;
    int64_t key_overlap_ms; /* a rotated signing key still verifies */
    int64_t audit_seal_ms;  /* events of system channels are sealed so often */
    int64_t audit_keep_ms;  /* seals are kept so long */
};

struct backups; /* hub/core/backups.h */
struct pulses;  /* hub/agents/pulses.h */

struct hub {
    struct clock clock; /* followed by the first I/O thread */
    struct store *store;
    struct writer *writer;
    struct log *log;
    struct interest *interest;
    struct rate_limiter *rate;
    struct pulses *pulses;
    struct secret *secret;
    struct backups *backups;
    uint64_t hash_seed; /* of channel hashes, this run's own */
    uint64_t key_seed;  /* of idempotency keys: the store's, as their hashes are kept */
    char epoch[17];     /* of all channels, hex */
    char id[37];        /* of this run */
    const char *version;
    const char *data_dir;
    int64_t started_ms;
    unsigned threads_n;
    uint32_t descriptors_max;                      /* RLIMIT_NOFILE */
    _Atomic(const struct hub_settings *) settings; /* the newest; old ones are kept until the end */
    _Atomic(struct signing *) signing;             /* the ring in force; old ones likewise */
    _Atomic uint64_t signing_changes;
    _Atomic uint32_t connections; /* open now, all threads */
    _Atomic bool draining;
    struct slice openapi;  /* the document, made at start */
    struct io *const *ios; /* threads_n of them, for statistics */
};

#endif
