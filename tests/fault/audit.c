#define _GNU_SOURCE
#include "tests/fault/audit.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

bool audit_open(struct audit *audit, const char *dir)
{
    struct store_options options = {.path = dir, .fresh_epoch = {1}};
    struct log_options log_options = {0};
    *audit = (struct audit){0};
    if (store_open(&options, &audit->store, audit->text, sizeof audit->text) != STORE_OK) {
        return false;
    }
    enum store_rc rc =
        log_open(audit->store, &log_options, &audit->log, audit->text, sizeof audit->text);
    if (rc == STORE_OK) {
        rc = store_reader_new(audit->store, &audit->reader);
    }
    if (rc != STORE_OK && !*audit->text) {
        (void)snprintf(audit->text, sizeof audit->text, "%s/data.mdb: the log: %s", dir,
                       store_rc_name(rc));
    }
    return rc == STORE_OK;
}

void audit_close(struct audit *audit)
{
    store_reader_free(audit->reader);
    log_close(audit->log);
    store_close(audit->store);
}

struct reading {
    audit_visit *visit;
    void *ctx;
    const struct log_channel *channel;
};

static bool visit_record(void *ctx, const struct log_record *record)
{
    struct reading *reading = ctx;
    reading->visit(reading->ctx, reading->channel, record);
    return true;
}

static enum store_rc read_channel(struct audit *audit, const struct log_channel *channel,
                                  audit_visit *visit, void *ctx)
{
    struct reading reading = {.visit = visit, .ctx = ctx, .channel = channel};
    struct store_view *view;
    struct log_head head;
    enum store_rc rc = log_snapshot(audit->log, audit->reader, channel->channel, &view, &head);
    uint64_t next = rc == STORE_OK ? head.first : 0;
    while (rc == STORE_OK && next <= head.last) {
        uint64_t from = next;
        rc = log_read(view, &head, from, 1000, visit_record, &reading, &next);
        if (rc == STORE_DAMAGED && next > from) {
            audit->damaged++;
            rc = STORE_OK;
        }
    }
    store_release(audit->reader);
    return rc;
}

bool audit_records(struct audit *audit, audit_visit *visit, void *ctx)
{
    struct store_view *view;
    struct log_channel channel = {0};
    for (;;) {
        char name[LOG_NAME_BYTES_MAX];
        if (store_snapshot(audit->reader, &view) != STORE_OK) {
            return false;
        }
        enum store_rc rc = log_channel_next(view, channel.channel, false, &channel);
        if (rc == STORE_NOT_FOUND) {
            store_release(audit->reader);
            return true;
        }
        if (rc == STORE_OK) {
            memcpy(name, channel.name.p, channel.name.n);
            channel.name = slice_of(name, channel.name.n);
        }
        store_release(audit->reader);
        if (rc == STORE_OK) {
            rc = read_channel(audit, &channel, visit, ctx);
        }
        if (rc == STORE_DAMAGED && channel.channel) {
            audit->damaged++;
        } else if (rc != STORE_OK) {
            return false;
        }
    }
}

static void note_fault(void *ctx, uint64_t channel, uint64_t first, uint64_t last, const char *what)
{
    struct audit *audit = ctx;
    audit->damaged++;
    if (!*audit->text) {
        (void)snprintf(audit->text, sizeof audit->text, "channel %llu, %llu to %llu: %s",
                       (unsigned long long)channel, (unsigned long long)first,
                       (unsigned long long)last, what);
    }
}

bool audit_verify(struct audit *audit)
{
    return log_verify(audit->store, note_fault, audit, &audit->sums) == STORE_OK;
}

uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static _Noreturn void give_up(const char *path)
{
    perror(path);
    exit(2);
}

void file_read(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    size_t got;
    buf_clear(out);
    do {
        got = f ? fread(buf_reserve(out, 1 << 16), 1, 1 << 16, f) : 0;
        out->n += got;
    } while (got > 0);
    if (!f || ferror(f) || fclose(f) != 0) {
        give_up(path);
    }
}

void file_write(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes.p, 1, bytes.n, f) != bytes.n || fclose(f) != 0) {
        give_up(path);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void folder_make_all(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        give_up(path);
    }
}

void folder_begin(const char *path)
{
    char *copy = xstrdup(path);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    folder_make_all(copy);
    free(copy);
}
