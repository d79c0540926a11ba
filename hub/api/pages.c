#include "hub/api/pages.h"

#include "auth/digest.h"
#include "channels/json_scan.h"

#include <assert.h>

enum hub_rc page_open(struct page *page, struct call *call, uint64_t limit)
{
    *page = (struct page){.call = call,
                          .asker = asker_of(call->who),
                          .limit = (uint64_t)call_int(call, "limit", (int64_t)limit)};
    enum hub_rc rc = call_snapshot(call, &page->view);
    if (rc == HUB_OK) {
        page->o = json_out_to(call->out);
    }
    return rc;
}

void page_close(struct page *page)
{
    store_release(page->call->io->reader);
}

/* ---- what is written ---- */

void page_list(struct page *page, const char *key)
{
    json_key(&page->o, key);
    json_begin(&page->o, '[');
}

void page_list_end(struct page *page)
{
    json_end(&page->o, ']');
    put_count(&page->o, "count", page->n);
    page_put_next(page);
}

void put_next_cursor(struct json_out *o, uint64_t next)
{
    char text[24];
    put_text_or_null(o, "next_cursor",
                     slice_of(text, next ? u64_digits((uint8_t *)text, next) : 0));
}

void page_put_next(struct page *page)
{
    char text[2 * PAGE_KEY_BYTES_MAX + 1];
    if (page->more) {
        hex_put(text, page_last(page));
        put_str(&page->o, "next_cursor", text);
    } else {
        put_next_cursor(&page->o, page->next);
    }
}

void page_tell_next(struct page *page)
{
    page->call->bare_list = true;
    page->call->next_cursor = page->next;
}

enum hub_rc page_bad_cursor(struct call *call)
{
    return call_fail_field(call, "cursor", "value_error", "not a next_cursor of this list");
}

bool page_number(struct slice cursor, uint64_t *out)
{
    size_t at;
    return json_check(cursor, 1, &at) == JSON_OK && json_to_u64(cursor, out) && *out > 0;
}

/* ---- dense numbers ---- */

enum hub_rc page_from(struct page *page, uint64_t newest)
{
    struct slice cursor = call_text(page->call, "cursor");
    page->from = newest;
    return cursor.n == 0 || (page_number(cursor, &page->from) && page->from <= newest)
               ? HUB_OK
               : page_bad_cursor(page->call);
}

bool page_takes(struct page *page, uint64_t number)
{
    if (page->n == page->limit) {
        page->next = page->next ? page->next : number;
        return false;
    }
    page->n++;
    return true;
}

enum hub_rc page_walk(struct page *page, uint64_t looked_max, page_visit *visit)
{
    uint64_t last = page->from > looked_max ? page->from - looked_max : 0, number = page->from;
    enum hub_rc rc = HUB_OK;
    for (; rc == HUB_OK && number > last && page->n < page->limit; number--) {
        rc = visit(page, (uint32_t)number);
    }
    page->next = number;
    return rc;
}

/* ---- keys ---- */

enum hub_rc page_after(struct page *page)
{
    struct slice cursor = call_text(page->call, "cursor");
    page->last_n = cursor.n / 2;
    return cursor.n <= 2 * sizeof page->last && hex_get(cursor, page->last, page->last_n)
               ? HUB_OK
               : page_bad_cursor(page->call);
}

struct slice page_last(const struct page *page)
{
    return slice_of(page->last, page->last_n);
}

bool page_takes_key(struct page *page, struct slice key)
{
    if (page->n == page->limit) {
        page->more = true;
        return false;
    }
    assert(key.n <= sizeof page->last);
    memcpy(page->last, key.p, key.n);
    page->last_n = key.n;
    page->n++;
    return true;
}
