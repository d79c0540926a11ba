#define _GNU_SOURCE
#include "hub/core/backups.h"

#include "auth/digest.h"
#include "auth/keyfile.h"
#include "channels/json_members.h"
#include "store/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_BYTES = 32, COPY_BYTES = 1 << 20 };

struct backups {
    struct store *store;
    char *data_dir;
    atomic_bool running;
    _Atomic(enum backup_phase) phase;
    atomic_uint_fast64_t bytes_total;
    bool has_thread;
    pthread_t thread;
    _Atomic(struct backup_result *) next; /* of the one under way; then the last as well */
    _Atomic(struct backup_result *) last;
};

static char *path_of(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static bool fail(char *out_text, size_t text_n, const char *path, const char *cause)
{
    (void)snprintf(out_text, text_n, "%s: %s", path, cause);
    return false;
}

static bool is_file(const char *folder, const char *name)
{
    struct stat st;
    char *path = path_of(folder, name);
    bool is = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return is;
}

/* ---- the manifest ---- */

/* Mapped, for a store may be larger than memory. */
static bool digest_file(const char *path, char out_hex[2 * DIGEST_BYTES + 1], uint64_t *out_bytes)
{
    uint8_t digest[DIGEST_BYTES];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0;
    size_t n = good ? (size_t)st.st_size : 0;
    void *p = good && n > 0 ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    good = good && p != MAP_FAILED;
    if (good) {
        struct slice part = slice_of(p, n);
        digest_blake2b(digest, sizeof digest, slice_of(NULL, 0), &part, 1);
        hex_put(out_hex, slice_of(digest, sizeof digest));
        *out_bytes = n;
    }
    if (good && p) {
        (void)munmap(p, n);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

static bool put_file(struct json_out *o, const char *folder, const char *name)
{
    char hex[2 * DIGEST_BYTES + 1];
    uint64_t bytes;
    char *path = path_of(folder, name);
    bool good = digest_file(path, hex, &bytes);
    free(path);
    if (good) {
        json_begin(o, '{');
        json_key(o, "name");
        json_str(o, name);
        json_key(o, "bytes");
        json_u64(o, bytes);
        json_key(o, "blake2b");
        json_str(o, hex);
        json_end(o, '}');
    }
    return good;
}

typedef bool with_key(void *ctx, const char *name);
static bool each_key(const char *folder, with_key *use, void *ctx)
{
    bool good = true;
    char *keys = path_of(folder, "keys");
    DIR *dir = opendir(keys);
    for (struct dirent *entry; good && dir && (entry = readdir(dir));) {
        char *name = path_of("keys", entry->d_name);
        if (entry->d_name[0] != '.' && is_file(folder, name)) {
            good = use(ctx, entry->d_name);
        }
        free(name);
    }
    if (dir) {
        (void)closedir(dir);
    }
    free(keys);
    return good && dir;
}

struct listing {
    struct json_out *o;
    const char *folder;
};

static bool put_key(void *ctx, const char *key)
{
    struct listing *listing = ctx;
    char *name = path_of("keys", key);
    bool good = put_file(listing->o, listing->folder, name);
    free(name);
    return good;
}

/* Counts come from reading all of the copy, which so is known to be whole. */
static bool count(const char *folder, struct log_audit *out_sums, struct log_stats *out_stats,
                  char *out_text, size_t text_n)
{
    struct store *store = NULL;
    struct log *log = NULL;
    struct store_options options = {.path = folder};
    struct log_options log_options = {0};
    bool good = store_open(&options, &store, out_text, text_n) == STORE_OK;
    if (good) {
        good = log_open(store, &log_options, &log, out_text, text_n) == STORE_OK && !*out_text &&
               log_verify(store, NULL, NULL, out_sums) == STORE_OK &&
               store_verify(store, NULL, NULL) == STORE_OK;
        if (!good && !*out_text) {
            fail(out_text, text_n, folder, "damaged; waggled --verify names what");
        }
    }
    if (good) {
        log_stats(log, out_stats);
    }
    log_close(log);
    store_close(store);
    return good;
}

static bool write_manifest(const char *folder, int64_t now_ms, char *out_text, size_t text_n)
{
    struct log_audit sums;
    struct log_stats stats;
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    if (!count(folder, &sums, &stats, out_text, text_n)) {
        return false;
    }
    json_begin(&o, '{');
    put_count(&o, "time_ms", (uint64_t)now_ms);
    put_count(&o, "last_seq", stats.journal_last_seq);
    put_count(&o, "channels", sums.channels);
    put_count(&o, "records", sums.records);
    put_count(&o, "blocks", sums.blocks);
    json_key(&o, "files");
    json_begin(&o, '[');
    struct listing listing = {.o = &o, .folder = folder};
    bool good = put_file(&o, folder, "data.mdb") && each_key(folder, put_key, &listing);
    json_end(&o, ']');
    json_end(&o, '}');
    char *path = path_of(folder, "manifest.json");
    if (!good) {
        fail(out_text, text_n, folder, strerror(errno));
    }
    good = good && keyfile_write_secret(path, buf_slice(&text), out_text, text_n) == KEYFILE_OK;
    free(path);
    buf_done(&text);
    return good;
}

/* ---- copying ---- */

struct copying {
    const char *from, *to;
    char *out_text;
    size_t text_n;
};

static bool copy_key(void *ctx, const char *name)
{
    struct copying *c = ctx;
    struct buf bytes = {0};
    char *from = keyfile_path(c->from, name), *to = keyfile_path(c->to, name);
    bool good = keyfile_read_secret(from, &bytes, c->out_text, c->text_n) == KEYFILE_OK &&
                keyfile_write_secret(to, buf_slice(&bytes), c->out_text, c->text_n) == KEYFILE_OK;
    keyfile_wipe(&bytes);
    free(from);
    free(to);
    return good;
}

static bool copy_keys(const char *from, const char *to, char *out_text, size_t text_n)
{
    struct copying c = {.from = from, .to = to, .out_text = out_text, .text_n = text_n};
    *out_text = '\0';
    if (keyfile_folder(to, out_text, text_n) != KEYFILE_OK) {
        return false;
    }
    return each_key(from, copy_key, &c) ||
           (*out_text ? false : fail(out_text, text_n, from, "its keys cannot be read"));
}

/* ---- making one ---- */

/* One at a time, so what is there was left by one that did not come to its end. */
static const char making[] = "backups/.making";

static void drop(const char *folder, const char *name)
{
    char *path = path_of(folder, name);
    (void)(unlink(path) == 0 || rmdir(path) == 0);
    free(path);
}

static bool drop_key(void *ctx, const char *name)
{
    drop(ctx, name);
    return true;
}

static void clear(const char *folder)
{
    char *keys = path_of(folder, "keys");
    (void)each_key(folder, drop_key, keys);
    free(keys);
    const char *const names[] = {"keys", "data.mdb", "lock.mdb", "lock", "manifest.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        drop(folder, names[i]);
    }
    (void)rmdir(folder);
}

static bool is_taken(const char *folder, char *out_text, size_t text_n)
{
    struct stat st;
    return lstat(folder, &st) == 0 && !fail(out_text, text_n, folder, strerror(EEXIST));
}

static bool give_name(const char *part, const char *all, const char *folder, char *out_text,
                      size_t text_n)
{
    return (folder_sync(part) == 0 && rename(part, folder) == 0 && folder_sync(all) == 0) ||
           fail(out_text, text_n, folder, strerror(errno));
}

static bool make_in(struct backups *b, const char *part, int64_t begun_ms, char *out_text,
                    size_t text_n)
{
    struct store_usage usage = {0};
    (void)store_usage(b->store, &usage);
    atomic_store(&b->bytes_total, usage.bytes_used);
    atomic_store(&b->phase, BACKUP_COPYING);
    if (store_backup(b->store, part, out_text, text_n) != STORE_OK ||
        !copy_keys(b->data_dir, part, out_text, text_n)) {
        return false;
    }
    atomic_store(&b->phase, BACKUP_CHECKING);
    return write_manifest(part, begun_ms, out_text, text_n);
}

static bool make(struct backups *b, const struct backup_result *r, char *out_text, size_t text_n)
{
    char *all = path_of(b->data_dir, "backups"), *folder = path_of(all, r->name);
    char *part = path_of(b->data_dir, making);
    bool good =
        mkdir(all, 0700) == 0 || errno == EEXIST || fail(out_text, text_n, all, strerror(errno));
    good = good && !is_taken(folder, out_text, text_n);
    if (good) {
        clear(part);
        good = make_in(b, part, r->begun_ms, out_text, text_n) &&
               give_name(part, all, folder, out_text, text_n);
        if (!good) {
            clear(part);
        }
    }
    if (good) {
        (void)snprintf(out_text, text_n, "%s", folder);
    }
    free(part);
    free(folder);
    free(all);
    return good;
}

/* ---- one at a time, on a thread of its own ---- */

static void finish(struct backups *b, struct backup_result *r)
{
    r->before = atomic_load(&b->last);
    atomic_store(&b->last, r);
    atomic_store(&b->running, false);
}

static void *run(void *ctx)
{
    struct backups *b = ctx;
    struct backup_result *r = atomic_load(&b->next);
    r->done = make(b, r, r->text, sizeof r->text);
    finish(b, r);
    return NULL;
}

struct backups *backups_new(struct store *store, const char *data_dir)
{
    struct backups *b = xcalloc(1, sizeof *b);
    b->store = store;
    b->data_dir = xstrdup(data_dir);
    return b;
}

void backups_free(struct backups *b)
{
    if (!b) {
        return;
    }
    if (b->has_thread) {
        (void)pthread_join(b->thread, NULL);
    }
    for (struct backup_result *r = atomic_load(&b->last), *before; r; r = before) {
        before = r->before;
        free(r);
    }
    free(b->data_dir);
    free(b);
}

bool backups_start(struct backups *b, const char *name, int64_t now_ms)
{
    if (atomic_exchange(&b->running, true)) {
        return false;
    }
    if (b->has_thread) {
        (void)pthread_join(b->thread, NULL); /* it has said that it is done */
    }
    struct backup_result *r = xcalloc(1, sizeof *r);
    const struct backup_result *before = atomic_load(&b->last);
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    r->begun_ms = now_ms;
    r->number = before ? before->number + 1 : 1;
    atomic_store(&b->next, r);
    int failed = pthread_create(&b->thread, NULL, run, b);
    b->has_thread = !failed;
    if (failed) {
        (void)snprintf(r->text, sizeof r->text, "no thread: %s", strerror(failed));
        finish(b, r);
    }
    return true;
}

bool backups_have(const struct backups *b, const char *name)
{
    const struct backup_result *r = atomic_load(&b->next);
    struct stat st;
    char *all = path_of(b->data_dir, "backups"), *folder = path_of(all, name);
    bool have = (r && strcmp(r->name, name) == 0) || stat(folder, &st) == 0;
    free(folder);
    free(all);
    return have;
}

bool backups_running(const struct backups *b)
{
    return atomic_load(&b->running);
}

const struct backup_result *backups_last(const struct backups *b)
{
    return atomic_load(&b->last);
}

static uint64_t bytes_copied(const struct backups *b)
{
    struct stat st;
    char path[64];
    (void)snprintf(path, sizeof path, "%s.part/data.mdb", making); /* store_backup()'s */
    char *data = path_of(b->data_dir, path);
    uint64_t bytes = stat(data, &st) == 0 ? (uint64_t)st.st_size : 0;
    free(data);
    return bytes;
}

bool backups_under_way(const struct backups *b, struct backup_progress *out)
{
    if (!backups_running(b)) {
        return false;
    }
    const struct backup_result *r = atomic_load(&b->next);
    if (!r) {
        return false; /* it is being begun */
    }
    uint64_t total = atomic_load(&b->bytes_total);
    *out = (struct backup_progress){.name = r->name,
                                    .begun_ms = r->begun_ms,
                                    .phase = atomic_load(&b->phase),
                                    .bytes_total = total};
    uint64_t bytes = out->phase == BACKUP_COPYING ? bytes_copied(b) : total;
    out->bytes = bytes < total ? bytes : total;
    return true;
}

/* ---- verifying ---- */

struct saying {
    backups_say *say;
    void *ctx;
};

static void say_row(void *ctx, const char *table, struct slice key, const char *what)
{
    struct saying *s = ctx;
    struct buf line = {0};
    buf_printf(&line, "table %s, key ", table);
    for (size_t i = 0; i < key.n; i++) {
        buf_printf(&line, "%02x", key.p[i]);
    }
    buf_printf(&line, ": %s", what);
    buf_add(&line, "", 1);
    s->say(s->ctx, (const char *)line.p);
    buf_done(&line);
}

static void say_range(void *ctx, uint64_t channel, uint64_t first, uint64_t last, const char *what)
{
    struct saying *s = ctx;
    char line[256];
    (void)snprintf(line, sizeof line, "%s %llu, %llu to %llu: %s", channel ? "channel" : "journal",
                   (unsigned long long)channel, (unsigned long long)first, (unsigned long long)last,
                   what);
    s->say(s->ctx, line);
}

bool backups_verify(const char *folder, backups_say *say, void *ctx)
{
    struct saying s = {.say = say, .ctx = ctx};
    struct store_options options = {.path = folder};
    struct store *store;
    struct log_audit sums;
    char text[4400] = "";
    if (!is_file(folder, "data.mdb")) {
        (void)snprintf(text, sizeof text, "%s/data.mdb: there is none", folder);
        say(ctx, text);
        return false;
    }
    if (store_open(&options, &store, text, sizeof text) != STORE_OK) {
        say(ctx, text);
        return false;
    }
    bool rows = store_verify(store, say_row, &s) == STORE_OK;
    bool log = log_verify(store, say_range, &s, &sums) == STORE_OK;
    if (rows && log) {
        (void)snprintf(text, sizeof text, "%s/data.mdb is whole: %llu channels, %llu events",
                       folder, (unsigned long long)sums.channels, (unsigned long long)sums.records);
        say(ctx, text);
    }
    store_close(store);
    return rows && log;
}

/* ---- restoring ---- */

static bool check_file(const char *folder, const json_t *file, char *out_text, size_t text_n)
{
    const char *name = json_string_value(json_object_get(file, "name"));
    const char *wanted = json_string_value(json_object_get(file, "blake2b"));
    char hex[2 * DIGEST_BYTES + 1];
    uint64_t bytes;
    if (!name || !wanted || strstr(name, "..")) {
        return fail(out_text, text_n, folder, "manifest.json does not name its files");
    }
    char *path = path_of(folder, name);
    bool good = digest_file(path, hex, &bytes)
                    ? strcmp(hex, wanted) == 0 ||
                          fail(out_text, text_n, path, "is not what manifest.json says")
                    : fail(out_text, text_n, path, strerror(errno));
    free(path);
    return good;
}

static bool check_manifest(const char *folder, char *out_text, size_t text_n)
{
    struct buf text = {0};
    char *path = path_of(folder, "manifest.json");
    bool good = keyfile_read_secret(path, &text, out_text, text_n) == KEYFILE_OK;
    json_t *manifest = good ? json_loadb((const char *)text.p, text.n, 0, NULL) : NULL;
    const json_t *files = json_object_get(manifest, "files"), *file;
    size_t i;
    if (good && json_array_size(files) == 0) {
        good = fail(out_text, text_n, path, "is no manifest of a backup");
    }
    json_array_foreach(files, i, file)
    {
        good = good && check_file(folder, file, out_text, text_n);
    }
    json_decref(manifest);
    buf_done(&text);
    free(path);
    return good;
}

static bool copy_bytes(int from, int to)
{
    uint8_t *bytes = xmalloc(COPY_BYTES);
    ssize_t got;
    bool good = true;
    while (good && (got = read(from, bytes, COPY_BYTES)) != 0) {
        good = got > 0 && write(to, bytes, (size_t)got) == got;
    }
    free(bytes);
    return good && fsync(to) == 0;
}

static bool copy_data(const char *from, const char *to, char *out_text, size_t text_n)
{
    char *a = path_of(from, "data.mdb"), *b = path_of(to, "data.mdb.part"),
         *c = path_of(to, "data.mdb");
    int in = open(a, O_RDONLY | O_CLOEXEC);
    int out = open(b, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = (in >= 0 && out >= 0 && copy_bytes(in, out) && rename(b, c) == 0) ||
                fail(out_text, text_n, in < 0 ? a : b, strerror(errno));
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    free(a);
    free(b);
    free(c);
    return good;
}

bool backups_restore(const char *from, const char *to, const uint8_t fresh_epoch[16],
                     int64_t now_ms, char *out_text, size_t text_n)
{
    struct log_audit sums;
    struct log_stats stats;
    struct store_options options = {.path = to};
    struct store *store;
    if (!check_manifest(from, out_text, text_n)) {
        return false;
    }
    if (is_file(to, "data.mdb")) {
        return fail(out_text, text_n, to, "there is a store already");
    }
    if (mkdir(to, 0700) != 0 && errno != EEXIST) {
        return fail(out_text, text_n, to, strerror(errno));
    }
    *out_text = '\0';
    if (!copy_keys(from, to, out_text, text_n) || !copy_data(from, to, out_text, text_n) ||
        !count(to, &sums, &stats, out_text, text_n) ||
        store_open(&options, &store, out_text, text_n) != STORE_OK) {
        return false;
    }
    /* The first half is what positions in channels carry; the other is the seed of the hashes of
     * idempotency keys, which stay known. */
    uint8_t epoch[16];
    memcpy(epoch, store_epoch(store), sizeof epoch);
    memcpy(epoch, fresh_epoch, 8);
    bool good = store_renew_epoch(store, epoch, now_ms) == STORE_OK ||
                fail(out_text, text_n, to, store_error_text(store));
    if (good) {
        (void)snprintf(out_text, text_n, "%s: %llu channels, %llu events, up to sequence %llu", to,
                       (unsigned long long)sums.channels, (unsigned long long)sums.records,
                       (unsigned long long)stats.journal_last_seq);
    }
    store_close(store);
    return good;
}
