/* The audit trail's newest seal: whoever notes it elsewhere can tell later that nothing was cut off
 * behind it (docs/audit.md). Checking the trail is `waggle verify --log`. */
#include "auth/base64url.h"
#include "auth/digest.h"
#include "hub/api/answer.h"
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/audit/chain.h"

static void put_bytes(struct json_out *o, const char *key, const uint8_t *p, size_t n)
{
    struct buf text = {0};
    base64url_put(&text, slice_of(p, n));
    put_text(o, key, buf_slice(&text));
    buf_done(&text);
}

static void put_seal(struct json_out *o, const struct chain_seal *seal)
{
    char head[2 * CHAIN_HEAD_BYTES + 1], kid[SIGNING_KID_CHARS + 1];
    hex_put(head, slice_of(seal->head, sizeof seal->head));
    signature_kid(seal->public_key, kid);
    json_begin(o, '{');
    put_count(o, "sealed_to", seal->to);
    put_str(o, "head", head);
    put_time(o, "sealed_at", seal->at_ms);
    put_str(o, "kid", kid);
    put_bytes(o, "signature", seal->signature, sizeof seal->signature);
    json_end(o, '}');
}

static enum hub_rc head(struct call *call)
{
    struct store_view *view;
    struct chain_seal seal;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    enum store_rc found = chain_newest(view, &seal);
    if (found == STORE_OK) {
        struct json_out o = json_out_to(call->out);
        put_seal(&o, &seal);
    }
    store_release(call->io->reader);
    return found == STORE_NOT_FOUND ? call_fail(call, HUB_NOT_FOUND, "nothing is sealed yet")
                                    : hub_rc_of_store(found);
}

/* clang-format off */
static const struct operation rows[] = {
    { .name = "audit.head", .summary = "The newest seal of the audit trail",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_GET, "/api/v1/audit/head", 200, STYLE_PROBLEM, false}},
      .answer_schema = SCHEMA({"type":"object","required":["sealed_to","head","sealed_at","kid","signature"],"properties":{
          "sealed_to":{"type":"integer","description":"Sequence of the journal."},"head":{"type":"string"},"sealed_at":SHAPE_TIME,"kid":{"type":"string"},"signature":{"type":"string"}}}),
      .query = head },
};
/* clang-format on */

const struct operation_table audit_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
