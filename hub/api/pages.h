/* hub/api/pages.h: lists, a page at a time (rest-contract.md section 1 "Lists").
 *
 * A cursor names the place in the list's own order where the next page begins, never how many came
 * before: what is made or goes away between two pages moves nothing that was not shown yet. To
 * callers it is opaque: they send back what they got.
 *
 * Owns     between page_open and page_close the snapshot, so that a page shows one moment.
 * Threads  the caller's I/O thread.
 * Errors   a cursor that this list has not given is 422.
 */
#ifndef WAGGLE_HUB_API_PAGES_H
#define WAGGLE_HUB_API_PAGES_H

#include "hub/api/answer.h"

enum { PAGE_KEY_BYTES_MAX = 96 };

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
    uint8_t last[PAGE_KEY_BYTES_MAX]; /* the last one put, and at the start the cursor's */
    size_t last_n;                    /* 0: from the beginning */
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
void put_next_cursor(struct json_out *o, uint64_t next); /* of numbered rows; 0: null */
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

/* 422 for a cursor; what a cursor of numbers says, for lists that go another way. */
enum hub_rc page_bad_cursor(struct call *call);
bool page_number(struct slice cursor, uint64_t *out);

#endif
