/* hub/net/http_parts.h: an exchange and its answer, shared by http.c (requests), http_caller.c (who
 * asks), http_files.c (documents) and http_poll.c (answers that wait). Included by these only. */
#ifndef WAGGLE_HUB_NET_HTTP_PARTS_H
#define WAGGLE_HUB_NET_HTTP_PARTS_H

#include "hub/api/api.h"
#include "hub/net/http.h"

/* What must outlive the parser's view of the request. */
struct http_exchange {
    struct buf body; /* while it comes in */
    struct buf path, request_id, origin;
    struct principal *who;
    /* What was taken from whose bucket, or seen of it; a rule without a count is no limit. */
    struct rate_verdict rate;
    struct rate_rule rule;
    bool rated; /* both are known */
    bool head_only, keep_alive, http10, waiting;
    enum answer_style style;
    bool polling, poked; /* a long poll */
    struct call_wait poll_wait;
    unsigned poll_status;
};

struct reply {
    unsigned status;
    const char *type; /* content type; NULL: no body */
    struct slice body;
    const char *cache; /* Cache-Control; NULL: no-store */
    unsigned allow;    /* bits of enum method */
    uint32_t retry_after_s;
    const char *next_cursor; /* of a list that is a bare array; NULL: none */
    bool replayed, closes;
    const char *etag, *encoding, *location, *policy;
    char range[64]; /* Content-Range */
    bool challenge; /* WWW-Authenticate */
    bool upgrade;   /* says which protocol is spoken here */
};

/* http.c */
void http_reply(struct conn *c, const struct reply *r);
void http_refuse(struct conn *c, enum hub_rc rc, const char *message, struct reply r);
/* What an operation is called with; its texts are good until the next. */
struct call http_call(struct conn *c);
void http_reply_call(struct conn *c, const struct call *call, enum hub_rc rc, unsigned status,
                     bool replayed);

/* http_caller.c. Guessing costs: wrong credentials and anonymous requests are counted against the
 * address, the others against the principal. Cost 0 looks, for answers that are not counted but say
 * what is left. */
bool http_within_rate(struct conn *c, struct http_exchange *x, bool known, uint32_t cost);
/* What is left, into the head of an answer. */
void http_add_rate(struct conn *c, struct buf *b, struct http_exchange *x);

/* http_files.c: true when the path was a file's. */
bool http_serve_file(struct conn *c, const struct http1_request *req, struct slice path);

/* http_poll.c: the answer waits for what the call says. */
void http_poll(struct conn *c, const struct call *call, unsigned status);
/* over: the time is up, and what there is must do. */
void http_poll_end(struct conn *c, bool over);

#endif
