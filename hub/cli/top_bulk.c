#include "hub/cli/top_bulk.h"

#include <stdlib.h>

#include "channels/json_out.h"

void top_bulk_done(struct top_bulk *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->ids[i]);
    }
    free(b->ids);
    *b = (struct top_bulk){0};
}

void top_bulk_begin(struct top_bulk *b, const struct top_action *action, char **ids, size_t n,
                    const char *reason)
{
    top_bulk_done(b);
    b->action = action;
    b->ids = ids;
    b->n = n;
    snprintf(b->reason, sizeof b->reason, "%s", reason);
}

bool top_bulk_is_busy(const struct top_bulk *b)
{
    return b->answered < b->n;
}

bool top_bulk_next(struct top_bulk *b, struct buf *params)
{
    if (b->sent == b->n || b->sent - b->answered == BULK_WAITING_MAX) {
        return false;
    }
    struct json_out o = json_out_to(params);
    json_begin(&o, '{');
    json_key(&o, b->action->param);
    json_str(&o, b->ids[b->sent++]);
    if (b->action->reason && b->reason[0]) {
        json_key(&o, "reason");
        json_str(&o, b->reason);
    }
    json_end(&o, '}');
    if (b->action->more) { /* the members of the row, before the closing brace */
        params->n--;
        buf_printf(params, ",%s}", b->action->more);
    }
    return true;
}

void top_bulk_answer(struct top_bulk *b, struct slice refusal)
{
    if (!top_bulk_is_busy(b)) {
        return;
    }
    b->answered++;
    if (refusal.n && b->refused++ == 0) {
        snprintf(b->why, sizeof b->why, "%.*s", (int)refusal.n, (const char *)refusal.p);
    }
}

void top_bulk_say(const struct top_bulk *b, struct top_model *m)
{
    if (top_bulk_is_busy(b)) {
        top_say(m, "%s %s: %zu of %zu …", b->action->label, b->n == 1 ? b->ids[0] : "", b->answered,
                b->n);
    } else if (b->refused) {
        top_say(m, "%s: %zu done, %zu refused: %s", b->action->label, b->n - b->refused, b->refused,
                b->why);
    } else {
        top_say(m, "%s: %zu done", b->action->label, b->n);
    }
}
