/* hub/api/operation.h: one operation of the hub: a row from which router, validation, OpenAPI,
 * `call`, the command line's help and the test that walks every route are made (design.md section
 * 3).
 *
 * A query answers at once from a snapshot. A command is made ready on the I/O thread (prepare),
 * decided by the writer (its command_kind's apply), and put into words on the I/O thread again when
 * it is on disk (answer).
 *
 * Threads  functions run on the I/O thread of the caller, but for the kind's apply.
 * Errors   enum hub_rc; call_fail() adds the sentence. A forgotten `needs` is ROLE_NONE, which
 * nobody has.
 */
#ifndef WAGGLE_HUB_API_OPERATION_H
#define WAGGLE_HUB_API_OPERATION_H

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/api/fields.h"
#include "hub/core/document.h"
#include "hub/core/io.h"

struct beat_memo;
struct call;
struct call_words;
struct schema;

enum method {
    METHOD_NONE,
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHODS
};

/* The shape of errors: rest-contract.md section 1. */
enum answer_style {
    STYLE_PROBLEM,     /* application/problem+json, numeric status */
    STYLE_COORDINATOR, /* section 3: application/json, status "error" */
};

struct route {
    enum method method;
    const char *path; /* "/agents/{id}/status"; a name in braces is one segment */
    uint16_t status;  /* of success; 0: 200 */
    enum answer_style style;
    bool alias; /* served, but not listed in OpenAPI */
};

enum {
    OPERATION_ROUTES_MAX = 8,
    CALL_CURSOR_CHARS = 24 /* of a list of numbered rows: hub/api/pages.h */
};

enum operation_flags {
    OPERATION_CREATES = 1, /* takes an Idempotency-Key */
    OPERATION_OPEN =
        2, /* needs no credential at all (health, documents); needs is ROLE_NONE then */
    OPERATION_BODY = 4,      /* a JSON body is expected: missing is 422 */
    OPERATION_RAW = 8,       /* answers with its own content type (metrics); not over `call` */
    OPERATION_UNLIMITED = 16 /* not counted against the request rate (health) */
};

struct operation {
    const char *name;    /* "agents.register"; the group is what stands before the dot */
    const char *summary; /* one line */
    enum role needs;
    unsigned flags;
    struct route routes[OPERATION_ROUTES_MAX]; /* method METHOD_NONE ends */
    const char
        *params; /* JSON Schema of path, query and body together, as one object; NULL: none */
    const char *answer_schema; /* JSON Schema of the answer; NULL: any object */
    /* A query: writes the answer, one JSON value. */
    enum hub_rc (*query)(struct call *call);
    /* A command; beside a query it is for those requests that have an Idempotency-Key. */
    const struct command_kind *kind;
    enum hub_rc (*prepare)(struct call *call,
                           struct buf *body); /* HUB_ANSWERED: no command needed */
    enum hub_rc (*answer)(struct call *call, const struct command *command, struct slice reply);
    /* Optional fast lane for `call`: params as raw, checked JSON; true when it has answered (or
     * failed) the call; false: go the ordinary way. */
    bool (*raw)(struct call *call, struct slice params, enum hub_rc *out_rc);
    /* Optional, of a command: what `call` reads without a tree (fields.h). prepare() must then take
     * its parameters by call_text() and its like alone; what is not listed here it may also take
     * from the tree. */
    const struct field *fields;
};

/* A table of operations of one part of the domain; hub/api/operations.c gathers them. */
struct operation_table {
    const struct operation *rows;
    size_t n;
};

/* An answer that may wait: until that channel moves past the offset, or for so long. Then
 * the channel's history since is the answer; or, with `again`, what that writes about `about`,
 * which may set `ms` once more to say that it is not what was waited for. */
enum { WAIT_ABOUT_BYTES_MAX = 64 };
struct call_wait {
    int64_t ms; /* 0: no */
    char channel[CHANNEL_NAME_BYTES_MAX + 1];
    uint64_t since;
    /* Of a page of history: how much of it, and which list its cursor is of. */
    uint32_t limit, list;
    enum hub_rc (*again)(struct call *call, struct slice about);
    char about[WAIT_ABOUT_BYTES_MAX + 1];
};

/* One operation asked for. Lives on the stack of whoever serves it. */
struct call {
    struct io *io;
    const struct operation *operation;
    const struct principal *who; /* never NULL */
    json_t *params; /* merged and valid; an object, or NULL in answer() and beside values */
    const struct slice *values; /* of the operation's fields, where they were read without a tree */
    int64_t now_ms;
    uint64_t connection; /* id of the caller's connection; 0: a REST request's */
    void *socket;        /* net's own connection; NULL over REST */
    /* Over a socket: a command to be given when that connection ends, once however often it is
     * asked for. */
    void (*at_close)(struct call *call, const struct command_kind *kind, struct slice body);
    /* … and one to be given, a few times in a heartbeat interval, while anything comes over it. */
    void (*at_input)(struct call *call, const struct command_kind *kind, struct slice body);
    struct beat_memo *memo;   /* what the socket remembers (hub/api/memo.h); NULL: nothing */
    struct buf *out;          /* the answer: one JSON value */
    uint16_t status;          /* 0: the route's; a handler may say otherwise (202) */
    const char *content_type; /* OPERATION_RAW */
    /* A list that is a bare array has its next_cursor beside it: in a header, or in the frame. */
    bool bare_list;
    char next_cursor[CALL_CURSOR_CHARS + 1]; /* empty: that was the last page */
    const struct route *route;               /* over REST, while the request is read */
    bool has_body;                           /* … and it came with one, or should have */
    /* on failure */
    struct buf *message;            /* sentence; empty: the error's title */
    struct buf *detail;             /* raw JSON for `detail` (422: a list); empty: the message */
    const struct call_words *words; /* a word was none of these: the advice names them */
    uint32_t retry_after_s;
    struct call_wait wait; /* queries and answers of commands may set it */
};

/* Says why, in a sentence, and returns rc. */
enum hub_rc call_fail(struct call *call, enum hub_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One entry for 422's detail: loc is where the parameter came from, and the field. */
enum hub_rc call_fail_field(struct call *call, const char *field, const char *type,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The answer waits until that channel moves past the offset, or for so long; 0 ms: not at all. */
void call_wait(struct call *call, struct slice channel, uint64_t since, int64_t ms);

/* Parameters; the schema has passed them, so a wrong type does not come. Defaults where absent. */
struct slice call_text(const struct call *call, const char *name); /* p is NULL when absent */
const char *call_str(const struct call *call, const char *name);   /* NULL when absent */
int64_t call_int(const struct call *call, const char *name, int64_t otherwise);
double call_number(const struct call *call, const char *name, double otherwise);
bool call_bool(const struct call *call, const char *name, bool otherwise);
bool call_has(const struct call *call, const char *name); /* null counts */
bool call_has_number(const struct call *call, const char *name);
/* Any value as compact text; in `written` where it must be written first. Empty when absent. */
struct slice call_document(const struct call *call, const char *name, struct buf *written);
/* A list of strings. */
struct call_texts {
    size_t n;
    /* call_texts_next()'s */
    const json_t *list;
    struct json_walk walk;
    size_t at;
};
struct call_texts call_texts_of(const struct call *call, const char *name);
struct call_texts call_texts_in(const json_t *list); /* NULL and no list: none */
bool call_texts_next(struct call_texts *texts, struct slice *out);
/* Of the tree, so NULL for listed fields that were read without one. Borrowed; NULL when absent. */
json_t *call_json(const struct call *call, const char *name);

#endif
