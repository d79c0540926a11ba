/* Backups: begun here, made by a thread of their own (hub/core/backups.c). */
#include "hub/api/pages.h"
#include "hub/api/schema_text.h"
#include "hub/api/tables.h"
#include "hub/core/backups.h"

#include <stdio.h>

enum { LIST_DEFAULT = 1000 };

static void put_result(struct json_out *o, const struct backup_result *r)
{
    json_begin(o, '{');
    put_str(o, "name", r->name);
    put_time(o, "created_at", r->begun_ms);
    put_str(o, "status", r->done ? "completed" : "failed");
    put_str(o, r->done ? "path" : "error", r->text);
    json_end(o, '}');
}

static void name_of(const struct call *call, char out[BACKUP_NAME_MAX + 1])
{
    const char *name = call_str(call, "name");
    if (name) {
        (void)snprintf(out, BACKUP_NAME_MAX + 1, "%s", name);
    } else {
        (void)snprintf(out, BACKUP_NAME_MAX + 1, "backup-%lld", (long long)call->now_ms);
    }
}

static void put_begun(struct call *call, const char *name)
{
    struct json_out o = answer_begin(call);
    put_str(&o, "name", name);
    put_str(&o, "state", "running");
    json_end(&o, '}');
}

static enum hub_rc begin(struct call *call, const char *name)
{
    if (!backups_start(call->io->hub->backups, name, call->now_ms)) {
        return call_fail(call, HUB_CONFLICT, "A backup is under way");
    }
    put_begun(call, name);
    return HUB_OK;
}

/* A query as far as the writer is concerned: a backup only reads the store. All apps are in it, so
 * it is no affair of one of them. */
static enum hub_rc create_query(struct call *call)
{
    char name[BACKUP_NAME_MAX + 1];
    enum hub_rc rc = call_demand_hub_admin(call);
    name_of(call, name);
    return rc == HUB_OK ? begin(call, name) : rc;
}

/* With a key the writer remembers the name, and nothing is begun before that. */
static enum hub_rc create_prepare(struct call *call, struct buf *body)
{
    char name[BACKUP_NAME_MAX + 1];
    enum hub_rc rc = call_demand_hub_admin(call);
    name_of(call, name);
    buf_add_str(body, name);
    return rc;
}

/* Asked again, there is nothing to do; unless the first time there was another under way. */
static enum hub_rc create_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    char name[BACKUP_NAME_MAX + 1] = "";
    memcpy(name, reply.p, reply.n < sizeof name ? reply.n : sizeof name - 1);
    if (!(command->flags & COMMAND_REPLAYED) || !backups_have(call->io->hub->backups, name)) {
        return begin(call, name);
    }
    put_begun(call, name);
    return HUB_OK;
}

static void put_progress(struct json_out *o, const struct backups *backups)
{
    struct backup_progress p;
    json_key(o, "progress");
    if (!backups_under_way(backups, &p)) {
        json_put_null(o);
        return;
    }
    json_begin(o, '{');
    put_str(o, "name", p.name);
    put_time(o, "created_at", p.begun_ms);
    put_str(o, "phase", p.phase == BACKUP_COPYING ? "copying" : "checking");
    put_count(o, "bytes", p.bytes);
    put_count(o, "bytes_total", p.bytes_total);
    json_end(o, '}');
}

static enum hub_rc list_query(struct call *call)
{
    struct page page;
    const struct backups *backups = call->io->hub->backups;
    bool running = backups_running(backups); /* before the results: one may have just ended */
    const struct backup_result *r = backups_last(backups);
    enum hub_rc rc = call_demand_hub_admin(call);
    if (rc == HUB_OK) {
        rc = page_open(&page, call, LIST_DEFAULT);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_from(&page, r ? r->number : 0);
    if (rc == HUB_OK) {
        page.o = answer_begin(call);
        put_bool(&page.o, "running", running);
        put_progress(&page.o, backups);
        page_list(&page, "backups");
        for (; r && (r->number > page.from || page_takes(&page, r->number)); r = r->before) {
            if (r->number <= page.from) {
                put_result(&page.o, r);
            }
        }
        page_list_end(&page);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

/* clang-format off */
static const struct operation rows[] = {
    { .name = "backups.create", .summary = "Begin a backup of the whole hub in its data folder",
      .needs = ROLE_ADMIN, .flags = OPERATION_CREATES,
      .routes = { { METHOD_POST, "/api/v1/admin/backups", 202, STYLE_PROBLEM, false } },
      .params = SCHEMA({"type":"object","properties":{"name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$","description":"Of its folder below backups; made from the time when left out."}}}),
      .answer_schema = SCHEMA({"type":"object","required":["status","name","state"],"properties":{"status":SHAPE_SUCCESS,"name":{"type":"string"},"state":{"const":"running"}}}),
      .query = create_query,
      .kind = &command_remember, .prepare = create_prepare, .answer = create_answer },
    { .name = "backups.list", .summary = "The backups that were made since the hub started, newest first",
      .needs = ROLE_ADMIN,
      .routes = { { METHOD_GET, "/api/v1/admin/backups", 200, STYLE_PROBLEM, false } },
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","required":["status","running","backups"],"properties":{"status":SHAPE_SUCCESS,"running":{"type":"boolean"},"progress":{"type":["object","null"],"description":"Of the one under way.","properties":{"name":{"type":"string"},"created_at":SHAPE_TIME,"phase":{"enum":["copying","checking"]},"bytes":SHAPE_COUNT,"bytes_total":SHAPE_COUNT}},"backups":{"type":"array","items":{"type":"object","required":["name","created_at","status"],"properties":{"name":{"type":"string"},"created_at":SHAPE_TIME,"status":{"enum":["completed","failed"]},"path":{"type":"string"},"error":{"type":"string"}}}},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list_query },
};
/* clang-format on */

const struct operation_table backup_operations = {rows, sizeof rows / sizeof *rows};
