/* fault_damage DATA.MDB WORK SEED ROUNDS: damages copies of a data file at random and opens each in
 * a child process: it is refused with a text that names the file, or all that it gives is as it
 * was, and what is missing has been named. Never other bytes, never a signal.
 *
 * Prints what it did; exit 1 when an image was not judged rightly, which is then left in WORK. */
#define _GNU_SOURCE
#include "tests/fault/audit.h"

#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SECTOR = 512, CHILD_S = 60 };
enum verdict { WHOLE, NAMED, REFUSED, WRONG, VERDICTS };

/* ---- what the file held before: a hash of every record and row, in order ---- */

struct fact {
    uint64_t table, channel, offset, hash; /* rows: channel is the hash of the key */
};

struct facts {
    struct fact *all;
    size_t n, cap;
};

static void fact_add(struct facts *facts, struct fact fact)
{
    if (facts->n == facts->cap) {
        facts->cap = facts->cap ? facts->cap * 2 : 1024;
        facts->all = xrealloc(facts->all, facts->cap * sizeof *facts->all);
    }
    facts->all[facts->n++] = fact;
}

static void add_record(void *ctx, const struct log_channel *channel,
                       const struct log_record *record)
{
    uint64_t seed = record->flags ^ (uint64_t)record->time_ms ^
                    (record->key_hash ? be64_get(record->key_hash) : 0);
    fact_add(ctx, (struct fact){.table = TABLE_JOURNAL,
                                .channel = channel->channel,
                                .offset = record->offset,
                                .hash = hash64(seed, record->payload)});
}

/* Rows that say on their own whether they are whole; META changes with every start. */
static const enum store_table row_tables[] = {TABLE_CHANNEL_NAME, TABLE_APP,        TABLE_API_KEY,
                                              TABLE_REVOCATION,   TABLE_NAMESPACE,  TABLE_MEMBER,
                                              TABLE_AGENT,        TABLE_AGENT_INDEX};

static enum store_rc add_rows(struct audit *audit, struct store_view *view, enum store_table table,
                              struct facts *facts)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, table, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    while (rc == STORE_OK || rc == STORE_DAMAGED) {
        if (rc == STORE_DAMAGED) {
            audit->damaged++;
        } else {
            fact_add(
                facts,
                (struct fact){.table = table, .channel = hash64(0, key), .hash = hash64(0, value)});
        }
        rc = store_cursor_next(cursor, &key, &value);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static bool learn(struct audit *audit, struct facts *facts)
{
    struct store_view *view;
    bool good =
        audit_records(audit, add_record, facts) && store_snapshot(audit->reader, &view) == STORE_OK;
    for (size_t i = 0; good && i < sizeof row_tables / sizeof *row_tables; i++) {
        good = add_rows(audit, view, row_tables[i], facts) == STORE_OK;
    }
    store_release(audit->reader);
    return good;
}

static int by_place(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct fact)); /* any order will do, as long as it is one */
}

static bool known(const struct facts *before, const struct fact *fact)
{
    return bsearch(fact, before->all, before->n, sizeof *fact, by_place) != NULL;
}

/* ---- one image, in a child ---- */

/* A hub writes, too: to the channels there are, and it tends the log. */
static void write_on(struct audit *audit)
{
    const int64_t now_ms = INT64_C(4000000000000);
    struct slice part = slice_str("after the damage");
    for (int batch = 0; batch < 20; batch++) {
        struct store_txn *txn;
        if (store_begin(audit->store, &txn) != STORE_OK) {
            return;
        }
        log_begin(audit->log, txn);
        for (uint64_t channel = 1; channel < 8; channel++) {
            struct log_append append = {
                .channel = channel, .now_ms = now_ms, .parts = &part, .parts_n = 1};
            struct log_appended done;
            for (int i = 0; i < 20 && log_append(audit->log, &append, &done) == STORE_OK; i++) {
            }
        }
        (void)log_tend(audit->log, now_ms + batch * INT64_C(100000));
        log_end(audit->log, store_commit(txn) == STORE_OK);
    }
}

static int judge(const char *dir, const struct facts *before)
{
    struct audit audit;
    struct facts now = {0};
    if (!audit_open(&audit, dir)) {
        if (!strstr(audit.text, "data.mdb")) {
            fprintf(stderr, "refused without a name: '%s'\n", audit.text);
            return WRONG;
        }
        fprintf(stderr, "refused: %s\n", audit.text);
        return REFUSED;
    }
    bool read_all = learn(&audit, &now);
    for (size_t i = 0; i < now.n; i++) {
        if (!known(before, &now.all[i])) {
            fprintf(stderr, "table %d, %llu, %llu: not what was there\n", (int)now.all[i].table,
                    (unsigned long long)now.all[i].channel, (unsigned long long)now.all[i].offset);
            return WRONG;
        }
    }
    bool named = audit.damaged > 0 || *audit.text || !audit_verify(&audit);
    if (!named && (!read_all || now.n != before->n)) {
        fprintf(stderr, "%zu of %zu are there and nothing was named\n", now.n, before->n);
        return WRONG;
    }
    write_on(&audit);
    char text[512];
    char *copy = NULL;
    if (asprintf(&copy, "%s/backup", dir) > 0) {
        (void)store_backup(audit.store, copy, text, sizeof text);
    }
    audit_close(&audit);
    return named ? NAMED : WHOLE;
}

static int judge_apart(const char *dir, const struct facts *before)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(CHILD_S); /* going in circles is a crash */
        _exit(judge(dir, before));
    }
    int status = 0;
    (void)waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "ended by signal %d\n", WTERMSIG(status));
        return WRONG;
    }
    return WEXITSTATUS(status) < VERDICTS ? WEXITSTATUS(status) : WRONG;
}

/* ---- damage ---- */

static size_t below(uint64_t *seed, size_t n)
{
    return (size_t)(random_next(seed) % n);
}

/* Half of the flips go where LMDB's numbers stand: the heads of pages. */
static void flip(struct buf *b, uint64_t *seed, size_t count)
{
    while (count-- > 0) {
        size_t at = below(seed, b->n / PAGE) * PAGE;
        at += below(seed, random_next(seed) % 2 ? PAGE : 160);
        b->p[at] ^= (uint8_t)(1u << below(seed, 8));
    }
}

static const char *damage(struct buf *b, uint64_t *seed)
{
    size_t page = below(seed, b->n / PAGE) * PAGE, other = below(seed, b->n / PAGE) * PAGE;
    switch (random_next(seed) % 16) {
    case 0:
        memset(b->p + page, 0, PAGE);
        return "a page zeroed";
    case 1:
        memset(b->p + page + below(seed, PAGE / SECTOR) * SECTOR, 0, SECTOR);
        return "a sector zeroed";
    case 2:
        b->n = below(seed, 2) ? page : below(seed, b->n);
        return "cut short";
    case 3:
        memcpy(b->p + page, b->p + other, PAGE);
        return "a page written in another's place";
    case 4:
        for (size_t i = 0; i < SECTOR; i++) {
            b->p[page + i] = (uint8_t)random_next(seed);
        }
        return "a sector of noise";
    case 5:
        flip(b, seed, 2 + below(seed, 30));
        return "some bits turned over";
    default:
        flip(b, seed, 1);
        return "a bit turned over";
    }
}

static void make_image(const char *dir, struct slice data)
{
    char *path = NULL;
    folder_begin(dir);
    if (asprintf(&path, "%s/data.mdb", dir) > 0) {
        file_write(path, data);
    }
    free(path);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: fault_damage DATA.MDB WORK SEED ROUNDS\n");
        return 2;
    }
    struct buf whole = {0}, image = {0};
    struct audit audit;
    struct facts before = {0};
    uint64_t seed = strtoull(argv[3], NULL, 10) | 1;
    unsigned long rounds = strtoul(argv[4], NULL, 10), counts[VERDICTS] = {0};
    file_read(argv[1], &whole);
    make_image(argv[2], buf_slice(&whole));
    if (!audit_open(&audit, argv[2]) || !learn(&audit, &before) || !audit_verify(&audit)) {
        fprintf(stderr, "the file is not whole to begin with: %s\n", audit.text);
        return 2;
    }
    uint64_t records = audit.sums.records, blocks = audit.sums.blocks;
    audit_close(&audit);
    qsort(before.all, before.n, sizeof *before.all, by_place);
    for (unsigned long round = 0; round < rounds; round++) {
        buf_clear(&image);
        buf_add_slice(&image, buf_slice(&whole));
        const char *what = damage(&image, &seed);
        make_image(argv[2], buf_slice(&image));
        int verdict = judge_apart(argv[2], &before);
        counts[verdict]++;
        if (verdict == WRONG) {
            fprintf(stderr, "round %lu of seed %s: %s, and it was not judged rightly\n", round,
                    argv[3], what);
            break;
        }
    }
    printf("seed %s: %zu bytes with %llu records, %llu blocks; damaged %lu times: %lu read in "
           "full, %lu named what is damaged, %lu refused with the page, %lu wrong\n",
           argv[3], whole.n, (unsigned long long)records, (unsigned long long)blocks,
           counts[WHOLE] + counts[NAMED] + counts[REFUSED] + counts[WRONG], counts[WHOLE],
           counts[NAMED], counts[REFUSED], counts[WRONG]);
    return counts[WRONG] > 0;
}
