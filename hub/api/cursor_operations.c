/* The named cursors of a channel: where each stands, and removing one (docs/messages.md). */
#include "hub/api/channel_access.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/core/cursor_commands.h"

enum { LIST_DEFAULT = 100, ROWS_LOOKED_MAX = 20000 };

static void put_cursor(struct json_out *o, const struct call *call, const struct cursor_row *row)
{
    struct unpack items = unpack_of(row->items);
    uint64_t oldest = row->items_n ? unpack_u64(&items) : row->top + 1;
    /* A row of an earlier life of the hub names connections that are gone. */
    bool lives = row->life == cursors_life(writer_module(call->io->hub->writer, MODULE_CURSORS));
    json_begin(o, '{');
    put_text(o, "cursor", row->name);
    put_text(o, "channel", row->channel);
    put_count(o, "settled", oldest - 1);
    put_count(o, "delivered", row->top);
    put_count(o, "in_flight", row->items_n);
    put_count(o, "connections", lives ? row->consumers_n : 0);
    put_time(o, "created_at", row->created_ms);
    json_end(o, '}');
}

/* Numbers are dense and few: a page is a run of rows, of which those of the channel are shown. Its
 * cursor is the last one looked at. */
static enum store_rc list_rows(struct page *page, struct slice channel)
{
    struct slice key, value;
    uint64_t looked = 0;
    uint8_t from[4];
    struct store_cursor *cursor;
    be32_put(from, (uint32_t)page->from + 1);
    enum store_rc rc = store_cursor_open(page->view, TABLE_CURSOR, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(from, 4), &key, &value);
    for (; rc == STORE_OK && page->n < page->limit && looked < ROWS_LOOKED_MAX;
         rc = store_cursor_next(cursor, &key, &value), looked++) {
        struct cursor_row row;
        if (!cursor_row_get(value, &row)) {
            rc = STORE_DAMAGED;
            break;
        }
        page->next = row.number;
        if (row.app == page->call->who->app && slice_equal(row.channel, channel)) {
            put_cursor(&page->o, page->call, &row);
            page->n++;
        }
    }
    store_cursor_close(cursor);
    page->next = rc == STORE_OK ? page->next : 0;
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum hub_rc may_look(struct call *call)
{
    enum hub_rc rc = channel_may(call->io, call->who, RIGHT_SUBSCRIBE, call_text(call, "channel"));
    return rc == HUB_OK ? rc : call_fail(call, rc, "subscribing to this channel is not allowed");
}

static enum hub_rc list(struct call *call)
{
    struct page page;
    struct slice channel = call_text(call, "channel");
    enum hub_rc rc = may_look(call);
    if (rc == HUB_OK) {
        rc = page_open(&page, call, LIST_DEFAULT);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    if (call_text(call, "cursor").n) {
        rc = page_from(&page, UINT32_MAX - 1);
    }
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        put_text(&page.o, "channel", channel);
        page_list(&page, "cursors");
        rc = hub_rc_of_store(list_rows(&page, channel));
        page_list_end(&page);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

static enum hub_rc delete_prepare(struct call *call, struct buf *body)
{
    struct cursor_attach which = {.channel = call_text(call, "channel"),
                                  .name = call_text(call, "cursor")};
    if (which.channel.n > CURSOR_CHANNEL_BYTES_MAX || which.name.n > CURSOR_NAME_BYTES_MAX) {
        return HUB_NOT_FOUND;
    }
    enum hub_rc rc = may_look(call);
    if (rc == HUB_OK) {
        rc = call_why(call, &which.why);
    }
    if (rc == HUB_OK) {
        cursor_attach_put(body, &which);
    }
    return rc;
}

static enum hub_rc delete_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct json_out o = answer_begin(call);
    (void)command;
    (void)reply;
    put_time(&o, "deleted_at", call->now_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* clang-format off */
#define CHANNEL {"type":"string","minLength":1,"maxLength":164}
#define CURSOR_SHAPE {"type":"object","properties":{"cursor":{"type":"string"},"channel":{"type":"string"}, \
    "settled":{"type":"integer","description":"The offset up to which everything is done with."}, \
    "delivered":{"type":"integer","description":"The offset up to which everything was handed out once."}, \
    "in_flight":{"type":"integer","description":"Events that are out or wait to be delivered again."}, \
    "connections":SHAPE_COUNT,"created_at":SHAPE_TIME}}

static const struct operation rows[] = {
    { .name = "channels.cursors", .summary = "The named cursors of a channel",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/channels/{channel}/cursors", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["channel"],"properties":{"channel":CHANNEL,"limit":{"type":"integer","minimum":1,"maximum":1000,"default":100},"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"channel":{"type":"string"},"cursors":{"type":"array","items":CURSOR_SHAPE},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list },
    { .name = "channels.cursor_delete", .summary = "Remove a named cursor that nobody is attached to",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_DELETE, "/api/v1/channels/{channel}/cursors/{cursor}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["channel","cursor"],"properties":{"channel":CHANNEL,"cursor":{"type":"string","minLength":1,"maxLength":64},"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"deleted_at":SHAPE_TIME}}),
      .kind = &command_cursor_delete, .prepare = delete_prepare, .answer = delete_answer },
};
/* clang-format on */

const struct operation_table cursor_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
