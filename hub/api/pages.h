/* hub/api/pages.h: lists, a page at a time (rest-contract.md section 1 "Lists").
 *
 * A cursor names the place in the list's own order where the next page begins, never how many came
 * before: what is made or goes away between two pages moves nothing that was not shown yet. To
 * callers it is opaque: they send back what they got, and all else as it was. Before the place
 * stands a sum of it and of what is listed: the operation, and each parameter that chooses. So a
 * place in one list is never taken for one in another, nor for one among other filters.
 *
 * Owns     between page_open and page_close the snapshot, so that a page shows one moment.
 * Threads  the caller's I/O thread.
 * Limits   a place is PAGE_PLACE_BYTES_MAX, so a cursor PAGE_CURSOR_CHARS.
 * Errors   a cursor that this list has not given is 422.
 */
#ifndef WAGGLE_HUB_API_PAGES_H
#define WAGGLE_HUB_API_PAGES_H

#include "hub/api/answer.h"

enum {
    PAGE_LIST_BYTES = 4, /* a sum of the list and the place */
    PAGE_PLACE_BYTES_MAX = 256,
    PAGE_CURSOR_CHARS = 2 * (PAGE_LIST_BYTES + PAGE_PLACE_BYTES_MAX)
};

struct page {
    struct call *call;
    struct store_view *view;
    struct asker asker;
    struct json_out o;
    uint64_t limit, n; /* wanted at most; put */
    /* Of rows with dense numbers, newest first. */
    uint64_t from; /* begins with this one; 0: there is none */
    uint64_t next; /* the first that had no room; 0: none */
    /* Of rows in the order of a key. */
    uint8_t last[PAGE_PLACE_BYTES_MAX]; /* the last one put, and at the start the cursor's */
    size_t last_n;                      /* 0: from the beginning */
    bool more;
};

/* HUB_OK: page_close must follow. `limit` when the caller says none. */
enum hub_rc page_open(struct page *page, struct call *call, uint64_t limit);
void page_close(struct page *page);

/* "key":[ and ],"count":n,"next_cursor":… of an object that is being written. */
void page_list(struct page *page, const char *key);
void page_list_end(struct page *page);
/* The cursor alone, for lists of another shape. */
void page_put_next(struct page *page);
/* For numbered rows in a bare array: the cursor goes beside the answer (struct call). */
void page_tell_next(struct page *page);

/* ---- dense numbers, newest first ---- */

/* Before anything is put: where the cursor says, or at the newest. */
enum hub_rc page_from(struct page *page, uint64_t newest);
/* Makes room for one more; false: the page is full, and the next begins with this one. */
bool page_takes(struct page *page, uint64_t number);
/* Asks for each number from page->from down, to a full page or so many looked at: a page may come
 * short in an app among many others. The visitor puts what is wanted and counts it in page->n. */
typedef enum hub_rc page_visit(struct page *page, uint32_t number);
enum hub_rc page_walk(struct page *page, uint64_t looked_max, page_visit *visit);

/* ---- keys, in their order ---- */

/* Before anything is put: page->last is the key behind which it begins. */
enum hub_rc page_after(struct page *page);
struct slice page_last(const struct page *page);
/* Makes room for one more; false: the page is full, and the next begins behind the last one put. */
bool page_takes_key(struct page *page, struct slice key);

/* ---- cursors by themselves, for lists that go another way ---- */

/* Which list is asked for. */
uint32_t list_of_call(const struct call *call);
/* "next_cursor":… of that list; no place, or number 0: null. */
void put_next_place(struct json_out *o, uint32_t list, struct slice place);
void put_next_number(struct json_out *o, uint32_t list, uint64_t next);
/* What the caller's cursor says; without one they are as they were. */
enum hub_rc call_place(struct call *call, uint8_t place[PAGE_PLACE_BYTES_MAX], size_t *out_n);
enum hub_rc call_place_number(struct call *call, uint64_t *out);
/* 422 for a cursor. */
enum hub_rc page_bad_cursor(struct call *call);

#endif
