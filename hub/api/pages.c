#include "hub/api/pages.h"

#include "auth/digest.h"
#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

/* ---- cursors ---- */

/* Parameters that say where a page begins, how long it is and how long to wait for it. */
static const char *const where[] = {"cursor",    "limit",  "offset", "since",
                                    "since_seq", "before", "wait"};

uint32_t list_of_call(const struct call *call)
{
    json_auto_t *chosen = json_copy(call->params);
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        (void)json_object_del(chosen, where[i]);
    }
    char *text = chosen ? json_dumps(chosen, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    uint64_t hash =
        hash64(hash64(0, slice_str(call->operation->name)), slice_str(text ? text : ""));
    free(text);
    return (uint32_t)hash;
}

/* Of list and place together: it tells one that was altered, too. */
static uint32_t cursor_sum(uint32_t list, struct slice place)
{
    return (uint32_t)hash64(list, place);
}

/* "" when there is no place. */
static void cursor_text(char *out, uint32_t list, struct slice place)
{
    uint8_t bytes[PAGE_LIST_BYTES + PAGE_PLACE_BYTES_MAX];
    *out = '\0';
    if (place.n) {
        assert(place.n <= PAGE_PLACE_BYTES_MAX);
        be32_put(bytes, cursor_sum(list, place));
        memcpy(bytes + PAGE_LIST_BYTES, place.p, place.n);
        hex_put(out, slice_of(bytes, PAGE_LIST_BYTES + place.n));
    }
}

void put_next_place(struct json_out *o, uint32_t list, struct slice place)
{
    char text[PAGE_CURSOR_CHARS + 1];
    cursor_text(text, list, place);
    put_text_or_null(o, "next_cursor", slice_str(text));
}

void put_next_number(struct json_out *o, uint32_t list, uint64_t next)
{
    uint8_t place[8];
    be64_put(place, next);
    put_next_place(o, list, slice_of(place, next ? sizeof place : 0));
}

enum hub_rc page_bad_cursor(struct call *call)
{
    return call_fail_field(call, "cursor", "value_error", "not a next_cursor of this list");
}

enum hub_rc call_place(struct call *call, uint8_t place[PAGE_PLACE_BYTES_MAX], size_t *out_n)
{
    uint8_t bytes[PAGE_LIST_BYTES + PAGE_PLACE_BYTES_MAX];
    struct slice cursor = call_text(call, "cursor");
    size_t n = cursor.n / 2;
    struct slice said =
        slice_of(bytes + PAGE_LIST_BYTES, n > PAGE_LIST_BYTES ? n - PAGE_LIST_BYTES : 0);
    if (cursor.n == 0) {
        return HUB_OK;
    }
    if (said.n == 0 || n > sizeof bytes || !hex_get(cursor, bytes, n) ||
        be32_get(bytes) != cursor_sum(list_of_call(call), said)) {
        return page_bad_cursor(call);
    }
    *out_n = said.n;
    memcpy(place, said.p, said.n);
    return HUB_OK;
}

enum hub_rc call_place_number(struct call *call, uint64_t *out)
{
    uint8_t place[PAGE_PLACE_BYTES_MAX];
    size_t n = 0;
    enum hub_rc rc = call_place(call, place, &n);
    if (rc != HUB_OK || n == 0) {
        return rc;
    }
    if (n != 8 || be64_get(place) == 0) {
        return page_bad_cursor(call);
    }
    *out = be64_get(place);
    return HUB_OK;
}

/* ---- a page ---- */

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

void page_put_next(struct page *page)
{
    uint32_t list = list_of_call(page->call);
    if (page->more) {
        put_next_place(&page->o, list, page_last(page));
    } else {
        put_next_number(&page->o, list, page->next);
    }
}

void page_tell_next(struct page *page)
{
    struct call *call = page->call;
    uint8_t place[8];
    be64_put(place, page->next);
    _Static_assert(CALL_CURSOR_CHARS == 2 * (PAGE_LIST_BYTES + sizeof place), "a number's");
    call->bare_list = true;
    cursor_text(call->next_cursor, list_of_call(call),
                slice_of(place, page->next ? sizeof place : 0));
}

/* ---- dense numbers ---- */

enum hub_rc page_from(struct page *page, uint64_t newest)
{
    page->from = newest;
    enum hub_rc rc = call_place_number(page->call, &page->from);
    return rc == HUB_OK && page->from > newest ? page_bad_cursor(page->call) : rc;
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
    return call_place(page->call, page->last, &page->last_n);
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
