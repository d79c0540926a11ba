/* LMDB trusts its file: a number in a page that is not what LMDB wrote there can send it past the
 * end of the map, in circles, or over pages that are in use. So before LMDB sees the file, every
 * page of its trees is read and judged as LMDB would read it: that it is the page it should be,
 * that its rows lie within it, that keys are in order, that no page is used twice or both used and
 * free, and that the counts kept with each tree are right. From then on only LMDB writes.
 *
 * What is not read are the values that have pages of their own (a block of the log): their content
 * has a checksum of its own, and the head of such a page is looked at when LMDB is about to free it
 * (store_pages_sound). Reading is by pread, so that a sector that cannot be read is an error here
 * and not a signal.
 *
 * The layout is that of LMDB 0.9's data files, version 1, on 64-bit machines. */
#define _GNU_SOURCE
#include "store/env.h"
#include "store/files.h"
#include "store/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* a page: number 8, pad 2, flags 2, then lower 2 and upper 2, or how many pages it goes over 4;
     * then an array of 2-byte places of nodes, which are filled in from the page's end */
    HEAD_BYTES = 16,
    AT_FLAGS = 10,
    AT_LOWER = 12,
    AT_UPPER = 14,
    AT_PAGES = 12,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
    /* a node: size of the value 4, flags 2, size of the key 2, key, value; in a branch the first
     * three are the page's number, low word first */
    NODE_BYTES = 8,
    AT_NODE_FLAGS = 4,
    AT_KEY_BYTES = 6,
    NODE_BIG = 1,  /* the value has pages of its own: here is the number of the first */
    NODE_TREE = 2, /* the value is a tree: a table by its name */
    /* a tree: pad 4, flags 2, depth 2, pages of branches 8, leaves 8, big values 8, rows 8, root 8
     */
    TREE_BYTES = 48,
    TREE_INTEGER_KEYS = 8,
    /* a meta page, after its head */
    AT_MAGIC = 16,
    AT_VERSION = 20,
    AT_MAP_BYTES = 32,
    AT_FREE_TREE = 40,
    AT_MAIN_TREE = 88,
    AT_LAST_PAGE = 136,
    AT_TXN = 144,
    META_BYTES = 152,

    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 32768,
    KEY_BYTES_MAX = 511,
    DEPTH_MAX = 32,
    NAMED_MAX = 256,
};
static const uint32_t meta_magic = 0xbeefc0de, meta_version = 1;
static const uint64_t no_page = UINT64_MAX;

struct tree {
    uint16_t flags, depth;
    uint64_t branches, leaves, big_pages, rows, root;
};

struct meta {
    struct tree free, main;
    uint64_t page_bytes, map_bytes, last_page, txn;
};

struct named {
    char name[KEY_BYTES_MAX + 1];
    struct tree tree;
};

struct walk {
    int fd;
    uint64_t page_bytes, pages_there, last_page, txn;
    uint8_t *used;  /* a bit a page that is there */
    uint8_t *pages; /* one for each level of a tree */
    struct named *named;
    size_t named_n;
    uint64_t anchor; /* where in the file the store's epoch stands */

    const char *table; /* of the tree that is walked */
    enum { FREE_TREE, MAIN_TREE, NAMED_TREE } kind;
    bool sealed;     /* its rows are store_seal()ed */
    bool heads_read; /* the heads of its big values are looked at */
    struct tree is, seen;
    uint8_t key[KEY_BYTES_MAX]; /* the last one seen */
    size_t key_n;
    enum { KEY_NONE, KEY_FROM, KEY_PAST } key_bound; /* what the next key must be, of the last */

    enum store_rc rc;
    uint64_t at; /* page at fault */
    const char *what;
};

/* Native byte order, as LMDB has it. */
static uint16_t u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool fault(struct walk *w, uint64_t page, const char *what)
{
    if (w->rc == STORE_OK) {
        w->rc = STORE_DAMAGED;
        w->at = page;
        w->what = what;
    }
    return false;
}

static bool read_at(struct walk *w, uint8_t *out, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t got = pread(w->fd, out, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fault(w, at / w->page_bytes, got < 0 ? strerror(errno) : "the file ends in it");
            if (got < 0)
                w->rc = STORE_IO;
            return false;
        }
        out += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* ---- what pages are used for ---- */

static bool claim(struct walk *w, uint64_t page)
{
    uint8_t bit = (uint8_t)(1 << page % 8);
    if (w->used[page / 8] & bit)
        return fault(w, page, "it is used twice");
    w->used[page / 8] |= bit;
    return true;
}

static bool claim_in_use(struct walk *w, uint64_t page, uint64_t n)
{
    if (page < 2 || page > w->last_page || n > w->last_page + 1 - page)
        return fault(w, page, "there can be no such page");
    if (page + n > w->pages_there)
        return fault(w, page, "the file was cut short before it");
    for (uint64_t i = 0; i < n; i++)
        if (!claim(w, page + i))
            return false;
    return true;
}

/* A free page at the end need not be in the file: LMDB writes it when it is used. */
static bool claim_free(struct walk *w, uint64_t page)
{
    if (page < 2 || page > w->last_page)
        return fault(w, page, "there can be no such page, and it is called free");
    return page >= w->pages_there || claim(w, page);
}

/* ---- keys ---- */

static int compare(const struct walk *w, const uint8_t *key, size_t n)
{
    if (w->kind == FREE_TREE) {
        uint64_t a = u64(key), b = u64(w->key);
        return a < b ? -1 : a > b;
    }
    int order = memcmp(key, w->key, n < w->key_n ? n : w->key_n);
    return order ? order : n < w->key_n ? -1 : n > w->key_n;
}

/* separator: what stands in a branch is at most the first key behind it. */
static bool next_key(struct walk *w, uint64_t page, const uint8_t *key, size_t n, bool separator)
{
    if (n == 0 || n > KEY_BYTES_MAX || (w->kind == FREE_TREE && n != sizeof(uint64_t)))
        return fault(w, page, "a key has a length that no key has");
    int order = w->key_bound == KEY_NONE ? 1 : compare(w, key, n);
    if (order < 0 || (order == 0 && w->key_bound == KEY_PAST))
        return fault(w, page, "its keys are out of order");
    memcpy(w->key, key, n);
    w->key_n = n;
    w->key_bound = separator ? KEY_FROM : KEY_PAST;
    return true;
}

/* ---- rows ---- */

static struct tree read_tree(const uint8_t *p)
{
    return (struct tree){.flags = u16(p + 4),
                         .depth = u16(p + 6),
                         .branches = u64(p + 8),
                         .leaves = u64(p + 16),
                         .big_pages = u64(p + 24),
                         .rows = u64(p + 32),
                         .root = u64(p + 40)};
}

static bool row_of_tree(struct walk *w, uint64_t page, const uint8_t *key, size_t key_n,
                        const uint8_t *value, size_t n)
{
    if (n != TREE_BYTES || w->named_n == NAMED_MAX)
        return fault(w, page, "a table's row is no table's row");
    struct named *named = &w->named[w->named_n++];
    memcpy(named->name, key, key_n);
    named->name[key_n] = '\0';
    named->tree = read_tree(value);
    return true;
}

/* A count, then the pages. */
static bool row_of_free(struct walk *w, uint64_t page, const uint8_t *value, size_t n)
{
    uint64_t count = n >= 8 ? u64(value) : UINT64_MAX;
    if (count >= n / 8)
        return fault(w, page, "a list of free pages is longer than its place");
    for (uint64_t i = 1; i <= count; i++)
        if (!claim_free(w, u64(value + i * 8)))
            return false;
    return true;
}

static bool row_of_table(struct walk *w, uint64_t page, const uint8_t *key, size_t key_n,
                         const uint8_t *value, size_t n, uint64_t at)
{
    struct slice row = slice_of(value, n);
    if (w->sealed && !store_unseal(slice_of(key, key_n), &row))
        return fault(w, page, "a row's checksum does not fit");
    if (strcmp(w->table, "meta") == 0 && slice_is(slice_of(key, key_n), "epoch"))
        w->anchor = at;
    return true;
}

static uint64_t big_pages(uint64_t page_bytes, uint64_t n)
{
    return (HEAD_BYTES - 1 + n) / page_bytes + 1;
}

static bool free_pages_elsewhere(struct walk *w, uint64_t page, uint64_t n)
{
    uint8_t *value = xmalloc(n);
    bool good =
        read_at(w, value, n, page * w->page_bytes + HEAD_BYTES) && row_of_free(w, page, value, n);
    free(value);
    return good;
}

/* LMDB leaves a value its pages when it is written again, shorter, within a transaction: there can
 * be more of them than it needs. */
static bool row_elsewhere(struct walk *w, uint64_t page, const uint8_t *node, uint64_t n)
{
    uint8_t head[HEAD_BYTES];
    uint64_t first = u64(node + NODE_BYTES + u16(node + AT_KEY_BYTES));
    uint64_t count = big_pages(w->page_bytes, n);
    if (first >= w->pages_there || count > w->pages_there)
        return fault(w, page, "the value of a row is not in the file");
    if (w->heads_read) {
        if (!read_at(w, head, sizeof head, first * w->page_bytes))
            return false;
        if (u64(head) != first || u16(head + AT_FLAGS) != PAGE_OVERFLOW ||
            u32(head + AT_PAGES) < count)
            return fault(w, first, "it is not the page of a large value");
        count = u32(head + AT_PAGES);
    }
    w->seen.big_pages += count;
    return claim_in_use(w, first, count) &&
           (w->kind != FREE_TREE || free_pages_elsewhere(w, first, n));
}

static bool row(struct walk *w, uint64_t page, const uint8_t *node, uint64_t at)
{
    uint16_t flags = u16(node + AT_NODE_FLAGS);
    const uint8_t *key = node + NODE_BYTES;
    size_t key_n = u16(node + AT_KEY_BYTES), n = u32(node);
    w->seen.rows++;
    if (!next_key(w, page, key, key_n, false))
        return false;
    if (flags != (w->kind == MAIN_TREE ? NODE_TREE : flags & NODE_BIG))
        return fault(w, page, "a row is of a kind that is not there");
    if (flags == NODE_BIG)
        return row_elsewhere(w, page, node, n);
    const uint8_t *value = key + key_n;
    switch (w->kind) {
    case FREE_TREE:
        return row_of_free(w, page, value, n);
    case MAIN_TREE:
        return row_of_tree(w, page, key, key_n, value, n);
    case NAMED_TREE:
        return row_of_table(w, page, key, key_n, value, n, at + NODE_BYTES + key_n);
    }
    return false;
}

/* ---- pages ---- */

static size_t node_bytes(const uint8_t *node, bool leaf)
{
    size_t n = NODE_BYTES + (size_t)u16(node + AT_KEY_BYTES);
    if (leaf)
        n += u16(node + AT_NODE_FLAGS) & NODE_BIG ? sizeof(uint64_t) : u32(node);
    return n + n % 2;
}

/* The nodes lie side by side from upper to the page's end. */
static bool check_nodes(struct walk *w, uint64_t page, const uint8_t *p, size_t n, bool leaf)
{
    size_t upper = u16(p + AT_UPPER), sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = u16(p + HEAD_BYTES + 2 * i);
        if (at < upper || at + NODE_BYTES > w->page_bytes ||
            at + node_bytes(p + at, leaf) > w->page_bytes)
            return fault(w, page, "a row of it lies outside");
        sum += node_bytes(p + at, leaf);
    }
    return sum == w->page_bytes - upper || fault(w, page, "its rows do not fill it");
}

static bool check_head(struct walk *w, uint64_t page, const uint8_t *p, bool leaf)
{
    size_t lower = u16(p + AT_LOWER), upper = u16(p + AT_UPPER);
    if (u64(p) != page || u16(p + AT_FLAGS) != (leaf ? PAGE_LEAF : PAGE_BRANCH))
        return fault(w, page, "it is another page than it should be");
    if (lower <= HEAD_BYTES || lower % 2 || lower > upper || upper > w->page_bytes)
        return fault(w, page, "its bounds are wrong");
    return check_nodes(w, page, p, (lower - HEAD_BYTES) / 2, leaf);
}

static bool walk_page(struct walk *w, uint64_t page, unsigned level);

static bool walk_below(struct walk *w, uint64_t page, const uint8_t *node, size_t i, unsigned level)
{
    /* The first of a branch stands for everything below the second: its key counts for nothing. */
    if (i > 0 && !next_key(w, page, node + NODE_BYTES, u16(node + AT_KEY_BYTES), true))
        return false;
    uint64_t below = u32(node) | (uint64_t)u16(node + AT_NODE_FLAGS) << 32;
    return walk_page(w, below, level + 1);
}

static bool walk_page(struct walk *w, uint64_t page, unsigned level)
{
    uint8_t *p = w->pages + level * w->page_bytes;
    bool leaf = level + 1u == w->is.depth;
    if (!claim_in_use(w, page, 1) || !read_at(w, p, w->page_bytes, page * w->page_bytes) ||
        !check_head(w, page, p, leaf))
        return false;
    *(leaf ? &w->seen.leaves : &w->seen.branches) += 1;
    size_t n = (u16(p + AT_LOWER) - HEAD_BYTES) / 2u;
    for (size_t i = 0; i < n; i++) {
        size_t at = u16(p + HEAD_BYTES + 2 * i);
        if (leaf ? !row(w, page, p + at, page * w->page_bytes + at)
                 : !walk_below(w, page, p + at, i, level))
            return false;
    }
    return true;
}

/* ---- trees ---- */

static bool walk_tree(struct walk *w, const struct tree *tree, const char *table, int kind)
{
    w->table = table;
    w->kind = (unsigned)kind;
    w->is = *tree;
    w->seen = (struct tree){0};
    w->key_bound = KEY_NONE;
    if (tree->flags != (kind == FREE_TREE ? TREE_INTEGER_KEYS : 0) || tree->depth > DEPTH_MAX ||
        (tree->root == no_page) != (tree->depth == 0))
        return fault(w, tree->root, "the table's row is damaged");
    if (tree->root != no_page && !walk_page(w, tree->root, 0))
        return false;
    if (w->seen.branches != tree->branches || w->seen.leaves != tree->leaves ||
        w->seen.big_pages != tree->big_pages || w->seen.rows != tree->rows)
        return fault(w, tree->root, "the table is not what is counted in it");
    return true;
}

bool store_is_written_once(enum store_table table)
{
    return table == TABLE_JOURNAL || table == TABLE_BLOCK;
}

static bool walk_table(struct walk *w, const struct named *named)
{
    enum store_table table = store_table_named(named->name);
    w->sealed = store_is_sealed(table);
    w->heads_read = !store_is_written_once(table);
    return walk_tree(w, &named->tree, named->name, NAMED_TREE);
}

/* Every transaction but the first frees a page at least, and says so under its own number: so the
 * newest root is told from one whose number has been altered. */
static bool walk_free(struct walk *w, const struct meta *meta)
{
    w->heads_read = true;
    if (!walk_tree(w, &meta->free, "free pages", FREE_TREE))
        return false;
    return w->key_bound == KEY_NONE || u64(w->key) == meta->txn ||
           fault(w, meta->txn % 2, "it is not of the newest transaction");
}

static bool walk_all(struct walk *w, const struct meta *meta)
{
    if (!walk_free(w, meta) || !walk_tree(w, &meta->main, "tables", MAIN_TREE))
        return false;
    for (size_t i = 0; i < w->named_n; i++)
        if (!walk_table(w, &w->named[i]))
            return false;
    return true;
}

/* ---- the two roots ---- */

static bool read_meta(struct walk *w, uint64_t page, struct meta *out)
{
    uint8_t p[META_BYTES];
    if (!read_at(w, p, sizeof p, page * w->page_bytes))
        return false;
    if (u64(p) != page || u16(p + AT_FLAGS) != PAGE_META || u32(p + AT_MAGIC) != meta_magic)
        return fault(w, page, "it is not the root of a data file");
    if (u32(p + AT_VERSION) != meta_version) {
        fault(w, page, "it is of another version");
        w->rc = STORE_VERSION;
        return false;
    }
    *out = (struct meta){.free = read_tree(p + AT_FREE_TREE),
                         .main = read_tree(p + AT_MAIN_TREE),
                         .page_bytes = u32(p + AT_FREE_TREE), /* LMDB keeps it in the pad */
                         .map_bytes = u64(p + AT_MAP_BYTES),
                         .last_page = u64(p + AT_LAST_PAGE),
                         .txn = u64(p + AT_TXN)};
    if (out->page_bytes < PAGE_BYTES_MIN || out->page_bytes > PAGE_BYTES_MAX ||
        (out->page_bytes & (out->page_bytes - 1)) != 0)
        return fault(w, page, "its size of pages is none");
    return true;
}

/* The roots take turns: transaction N writes page N modulo 2. */
static bool read_roots(struct walk *w, struct meta *out)
{
    struct meta roots[2];
    w->page_bytes = PAGE_BYTES_MIN; /* for the page's number in what is said */
    if (!read_meta(w, 0, &roots[0]))
        return false;
    w->page_bytes = roots[0].page_bytes;
    if (!read_meta(w, 1, &roots[1]))
        return false;
    unsigned newer = roots[0].txn < roots[1].txn;
    *out = roots[newer];
    bool first = roots[0].txn == 0 && roots[1].txn == 0;
    if (roots[0].page_bytes != roots[1].page_bytes ||
        (!first && (out->txn - roots[!newer].txn != 1 || out->txn % 2 != newer)))
        return fault(w, newer, "the two roots of the file do not belong together");
    return true;
}

/* Pages that were taken and given back need not be in the file, but they were within the map of who
 * took them; LMDB would make its own map as large as the last page says. */
static bool judge_last_page(struct walk *w, const struct meta *meta)
{
    uint64_t mapped = meta->map_bytes / w->page_bytes;
    uint64_t most = mapped > w->pages_there ? mapped : w->pages_there;
    return (meta->last_page >= 1 && meta->last_page < most) ||
           fault(w, meta->txn % 2, "its last page is none");
}

static void check_file(struct walk *w, uint64_t file_bytes)
{
    struct meta meta;
    if (!read_roots(w, &meta))
        return;
    w->last_page = meta.last_page;
    w->pages_there = file_bytes / w->page_bytes;
    if (!judge_last_page(w, &meta))
        return;
    w->used = xcalloc(w->pages_there / 8 + 1, 1);
    w->pages = xmalloc(DEPTH_MAX * w->page_bytes);
    w->named = xcalloc(NAMED_MAX, sizeof *w->named);
    (void)walk_all(w, &meta);
}

enum store_rc store_check_pages(struct store *store, char *out_text, size_t text_n)
{
    struct walk w = {.rc = STORE_OK};
    struct stat st;
    char *path = path_join(store->path, "data.mdb");
    w.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w.fd >= 0 && fstat(w.fd, &st) == 0)
        check_file(&w, (uint64_t)st.st_size);
    if (w.rc != STORE_OK && out_text)
        (void)snprintf(out_text, text_n, "%s %s: page %llu%s%s: %s", path,
                       w.rc == STORE_DAMAGED ? "is damaged" : "cannot be read",
                       (unsigned long long)w.at, w.table ? ", of table " : "",
                       w.table ? w.table : "", w.what);
    store->anchor = w.anchor;
    if (w.fd >= 0)
        (void)close(w.fd);
    free(w.used);
    free(w.pages);
    free(w.named);
    free(path);
    return w.rc;
}

/* ---- values that have pages of their own ---- */

static bool is_big(const struct store *store, size_t key_n, size_t n)
{
    size_t node_max = (((store->page_bytes - HEAD_BYTES) / 2) & ~(size_t)1) - sizeof(uint16_t);
    return NODE_BYTES + key_n + n > node_max;
}

bool store_pages_sound(const struct store *store, enum store_table table, size_t key_n,
                       struct slice value)
{
    if (!store_is_written_once(table) || !store->map || !is_big(store, key_n, value.n) ||
        value.p < store->map || value.p >= store->map + store->map_bytes)
        return true; /* in a leaf, or in memory: written by the transaction under way */
    const uint8_t *head = value.p - HEAD_BYTES;
    return u64(head) == (uint64_t)(head - store->map) / store->page_bytes &&
           u16(head + AT_FLAGS) == PAGE_OVERFLOW &&
           u32(head + AT_PAGES) == big_pages(store->page_bytes, value.n);
}
