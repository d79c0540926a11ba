/* hub/api/api.h: from a method and path, or the name of a call, to an operation, and from its
 * result to the bytes of an answer. hub/net owns the sockets and brings what was read; nothing here
 * touches one.
 *
 * Owns     the compiled table: routes, schemas, documents; one for all threads, immutable after
 * api_new(). Threads  api_new before there are threads; everything else on the caller's I/O thread.
 */
#ifndef WAGGLE_HUB_API_API_H
#define WAGGLE_HUB_API_API_H

#include "hub/api/operation.h"

struct api;

struct api *api_new(const struct hub *hub, char *out_text, size_t text_n);
void api_free(struct api *api);

size_t api_operations(const struct api *api);
const struct operation *api_operation(const struct api *api, size_t i);
const struct operation *api_by_name(const struct api *api, struct slice name, size_t *out_i);

enum { PATH_PARAMS_MAX = 4 };
struct api_match {
    const struct operation *operation; /* NULL: no such path, or not with this method */
    size_t index;
    const struct route *route;
    unsigned allow;          /* bit per enum method that the path answers; 0: no such path */
    enum answer_style style; /* of the path, also for its errors */
    struct slice names[PATH_PARAMS_MAX], values[PATH_PARAMS_MAX];
    size_t params_n;
};
/* raw is the path as it came, checked; text the same with its escapes undone, from which the values
 * borrow. The slashes of raw divide, so a value may hold one that was escaped. */
void api_route(const struct api *api, enum method method, struct slice raw, struct slice text,
               struct api_match *out);

/* What came with a request. */
struct api_request {
    const struct api_match *match;
    struct slice body; /* raw; may be empty */
    bool json_body;    /* Content-Type says JSON, or says nothing */
    bool (*query_next)(void *ctx, struct slice *out_name, struct slice *out_value, bool *out_bad);
    void *query_ctx;
    struct slice idempotency_key;
};

enum api_result {
    API_ANSWERED, /* call->out holds the answer, or the failure is in call */
    API_PENDING,  /* a command is under way: its answer comes with the tray */
    API_BUSY,     /* no tray: try again when one is home */
};

/* Tickets travel with commands and say how to answer them. */
struct api_ticket {
    uint16_t operation;
    uint8_t route;  /* index in the operation's routes; 255: over `call` */
    uint8_t kind;   /* net's own: 0 is an operation */
    uint32_t extra; /* net's own */
};
uint64_t api_ticket_pack(struct api_ticket ticket);
struct api_ticket api_ticket_unpack(uint64_t ticket);

/* Runs a REST request, rights and schema included. *out_rc is for API_ANSWERED. */
enum api_result api_request(const struct api *api, struct call *call,
                            const struct api_request *request, struct return_address from,
                            enum hub_rc *out_rc);
/* Runs a `call` frame: params is a raw, checked JSON value (or empty), id the frame's id, key its
 * idempotency key as text. */
enum api_result api_call(const struct api *api, struct call *call, struct slice method,
                         struct slice params, struct slice id, struct slice key,
                         struct return_address from, enum hub_rc *out_rc);
/* A command came back: call->operation is set from the ticket; fills call->out or the failure. */
enum hub_rc api_answer(const struct api *api, struct call *call, const struct tray *tray,
                       const struct command *command);

/* The body of an error (rest-contract.md section 1) for what a failed call says. */
void api_error_body(struct buf *out, enum answer_style style, enum hub_rc rc,
                    const struct call *call, struct slice path);

/* Whole documents made at start: openapi.json. */
struct slice api_openapi(const struct api *api);

#endif
