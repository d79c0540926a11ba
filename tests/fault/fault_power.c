/* fault_power LOG WORK SEED SUBSETS KEEP: replays what the preloaded library wrote down of a hub's
 * life (wiretap.h) and cuts the power at every point of it.
 *
 * At a point the disk holds everything up to the last sync of each file, and of what was written
 * since any part in any order, torn at sectors: nothing of it, all of it, and SUBSETS random parts
 * are tried. Names count the same way: they are on disk with the sync of their folder. Each image
 * is opened and read in full: everything that the hub had told anybody before that point must be
 * there, at its offset, once, without a hole before it.
 *
 * KEEP images, at random points, are left in WORK/kept-N for the hub itself; with each a line of
 * its own, "kept DIR CHANNEL OFFSET" for the last event told on a channel.
 *
 * Prints what it did; exit 1 when an image is not as it should be, which is left in WORK/image. */
#define _GNU_SOURCE
#include "tests/fault/audit.h"
#include "tests/fault/wiretap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, FILES_MAX = 256, NAMES_MAX = 256, CHANNELS_MAX = 16, ID_BYTES = 40 };

/* ---- the disk ---- */

struct change { /* of a file, not known to be on disk */
    enum { CHANGE_WRITE, CHANGE_LENGTH } kind;
    uint64_t at;
    struct slice bytes; /* in the log */
};

struct file {
    uint64_t inode;
    struct buf durable;
    struct change *pending;
    size_t pending_n, pending_cap;
};

struct name { /* of a file or a folder */
    char path[256];
    uint64_t inode;
    bool folder;
    bool durable; /* it is on disk that it is there */
};

struct disk {
    struct file files[FILES_MAX];
    size_t files_n;
    struct name names[NAMES_MAX]; /* as they are; */
    size_t names_n;
    struct name old[NAMES_MAX]; /* on disk until their folder is synced: overwritten or removed */
    size_t old_n;
    uint64_t root; /* the data folder itself, which has no name in it */
};

static struct file *file_of(struct disk *d, uint64_t inode)
{
    for (size_t i = 0; i < d->files_n; i++) {
        if (d->files[i].inode == inode) {
            return &d->files[i];
        }
    }
    if (d->files_n == FILES_MAX) {
        fprintf(stderr, "too many files\n");
        exit(2);
    }
    d->files[d->files_n] = (struct file){.inode = inode};
    return &d->files[d->files_n++];
}

static struct name *name_of(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->names_n; i++) {
        if (strcmp(d->names[i].path, path) == 0) {
            return &d->names[i];
        }
    }
    return NULL;
}

static void name_add(struct disk *d, const char *path, uint64_t inode, bool folder)
{
    if (d->names_n == NAMES_MAX || strlen(path) >= sizeof d->names->path) {
        fprintf(stderr, "too many names\n");
        exit(2);
    }
    struct name *name = &d->names[d->names_n++];
    *name = (struct name){.inode = inode, .folder = folder};
    strcpy(name->path, path);
}

static void name_drop(struct disk *d, const char *path)
{
    struct name *name = name_of(d, path);
    if (!name) {
        return;
    }
    if (name->durable && d->old_n < NAMES_MAX) {
        d->old[d->old_n++] = *name;
    }
    *name = d->names[--d->names_n];
}

static bool is_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return strlen(folder) == n && strncmp(path, folder, n) == 0;
}

static void sync_folder(struct disk *d, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->names_n; i++) {
        if (is_in(d->names[i].path, folder)) {
            d->names[i].durable = true;
        }
    }
    for (size_t i = 0; i < d->old_n; i++) {
        if (!is_in(d->old[i].path, folder)) {
            d->old[kept++] = d->old[i];
        }
    }
    d->old_n = kept;
}

static void change_apply(struct buf *content, const struct change *change, size_t from, size_t to)
{
    size_t end = (size_t)change->at + to;
    if (change->kind == CHANGE_LENGTH) {
        end = (size_t)change->at;
    }
    if (content->n < end) {
        memset(buf_reserve(content, end - content->n), 0, end - content->n);
        content->n = end;
    }
    if (change->kind == CHANGE_LENGTH) {
        content->n = end;
    } else {
        memcpy(content->p + change->at + from, change->bytes.p + from, to - from);
    }
}

static void change_add(struct file *file, struct change change)
{
    if (file->pending_n == file->pending_cap) {
        file->pending_cap = file->pending_cap ? file->pending_cap * 2 : 32;
        file->pending = xrealloc(file->pending, file->pending_cap * sizeof *file->pending);
    }
    file->pending[file->pending_n++] = change;
}

static void sync_file(struct file *file)
{
    for (size_t i = 0; i < file->pending_n; i++) {
        change_apply(&file->durable, &file->pending[i], 0, file->pending[i].bytes.n);
    }
    file->pending_n = 0;
}

/* ---- an image ---- */

enum manner { NOTHING, EVERYTHING, SOME };

static bool chance(uint64_t *seed, enum manner manner)
{
    return manner == EVERYTHING || (manner == SOME && random_next(seed) >> 40 & 1);
}

/* Some of a write: a run of its sectors. */
static void change_torn(struct buf *content, const struct change *change, uint64_t *seed)
{
    size_t sectors = (change->bytes.n + SECTOR - 1) / SECTOR;
    size_t from = random_next(seed) % sectors, n = random_next(seed) % (sectors - from) + 1;
    size_t to = (from + n) * SECTOR;
    change_apply(content, change, from * SECTOR, to < change->bytes.n ? to : change->bytes.n);
}

static void write_file(const struct file *file, const char *path, uint64_t *seed,
                       enum manner manner)
{
    struct buf content = {0};
    buf_add_slice(&content, buf_slice(&file->durable));
    for (size_t i = 0; i < file->pending_n; i++) {
        const struct change *change = &file->pending[i];
        if (!chance(seed, manner)) {
            continue;
        }
        if (manner == SOME && change->bytes.n > SECTOR && random_next(seed) % 4 == 0) {
            change_torn(&content, change, seed);
        } else {
            change_apply(&content, change, 0, change->bytes.n);
        }
    }
    file_write(path, buf_slice(&content));
    buf_done(&content);
}

static void write_names(struct disk *d, const struct name *names, size_t n, const char *dir,
                        uint64_t *seed, enum manner manner, bool old)
{
    for (size_t i = 0; i < n; i++) {
        const struct name *name = &names[i];
        /* One that was replaced is there as long as its successor is not. */
        if (old ? chance(seed, manner) : !name->durable && !chance(seed, manner)) {
            continue;
        }
        char *path = NULL;
        if (asprintf(&path, "%s/%s", dir, name->path) < 0) {
            exit(2);
        }
        char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
        if (name->folder) {
            (void)mkdir(path, 0700);
        } else if (access(folder, F_OK) == 0) { /* or its folder is not there, and it is lost */
            write_file(file_of(d, name->inode), path, seed, manner);
        }
        free(folder);
        free(path);
    }
}

static void write_image(struct disk *d, const char *dir, uint64_t *seed, enum manner manner)
{
    folder_begin(dir);
    write_names(d, d->old, d->old_n, dir, seed, manner, true);
    write_names(d, d->names, d->names_n, dir, seed, manner, false);
}

/* ---- what the hub told ---- */

struct told {
    char channel[LOG_NAME_BYTES_MAX + 1];
    char (*ids)[ID_BYTES]; /* by offset; "" for one not told */
    uint64_t last;
};

struct witness {
    struct told channels[CHANNELS_MAX];
    size_t n;
    uint64_t events;
};

static struct told *told_of(struct witness *w, struct slice channel)
{
    for (size_t i = 0; i < w->n; i++) {
        if (slice_is(channel, w->channels[i].channel)) {
            return &w->channels[i];
        }
    }
    if (w->n == CHANNELS_MAX || channel.n > LOG_NAME_BYTES_MAX) {
        return NULL;
    }
    struct told *told = &w->channels[w->n++];
    *told = (struct told){0};
    memcpy(told->channel, channel.p, channel.n);
    return told;
}

static bool field(struct slice frame, const char *name, struct slice *out)
{
    const uint8_t *p = memmem(frame.p, frame.n, name, strlen(name));
    if (!p) {
        return false;
    }
    p += strlen(name);
    size_t n = 0, left = (size_t)(frame.p + frame.n - p);
    while (n < left && p[n] != '"' && p[n] != ',' && p[n] != '}') {
        n++;
    }
    *out = slice_of(p, n);
    return n < left;
}

static uint64_t number_of(struct slice digits)
{
    uint64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        v = v * 10 + (uint64_t)(digits.p[i] - '0');
    }
    return v;
}

/* Answers to a publish and events both carry the id that the publisher made up: "ack-…". */
static void hear_frame(struct witness *w, struct slice frame)
{
    struct slice channel, offset, id;
    if (!field(frame, "\"channel\":\"", &channel) || !field(frame, "\"offset\":", &offset) ||
        !field(frame, "\"ack-", &id) || id.n >= ID_BYTES) {
        return;
    }
    struct told *told = told_of(w, channel);
    uint64_t at = number_of(offset);
    if (!told || at == 0 || at > 1000000) {
        return;
    }
    if (at > told->last) {
        told->ids = xrealloc(told->ids, (at + 1) * sizeof *told->ids);
        memset(told->ids + told->last + 1, 0, (at - told->last) * sizeof *told->ids);
        told->last = at;
    }
    if (!*told->ids[at]) {
        w->events++;
    }
    memcpy(told->ids[at], id.p, id.n);
    told->ids[at][id.n] = '\0';
}

static void hear(struct witness *w, struct slice bytes)
{
    static const char begin[] = "{\"type\":\"";
    const uint8_t *at = memmem(bytes.p, bytes.n, begin, sizeof begin - 1);
    const uint8_t *end = bytes.p + bytes.n;
    while (at) {
        const uint8_t *next = memmem(at + 1, (size_t)(end - at - 1), begin, sizeof begin - 1);
        hear_frame(w, slice_of(at, (size_t)((next ? next : end) - at)));
        at = next;
    }
}

/* ---- judging ---- */

struct judging {
    const struct witness *witness;
    uint64_t channel, next; /* of the channel that is read */
    uint64_t found;
    char fault[256];
};

static void judge_record(void *ctx, const struct log_channel *channel,
                         const struct log_record *record)
{
    struct judging *j = ctx;
    if (j->channel != channel->channel) {
        j->channel = channel->channel;
        j->next = 1; /* nothing is trimmed in this life */
    }
    if (record->offset != j->next++ && !*j->fault) {
        (void)snprintf(j->fault, sizeof j->fault, "a hole or a repetition before %llu of %.*s",
                       (unsigned long long)record->offset, (int)channel->name.n,
                       (const char *)channel->name.p);
    }
    for (size_t i = 0; i < j->witness->n; i++) {
        const struct told *told = &j->witness->channels[i];
        if (!slice_is(channel->name, told->channel) || record->offset > told->last ||
            !*told->ids[record->offset]) {
            continue;
        }
        const char *id = told->ids[record->offset];
        char *quoted = NULL;
        bool same = asprintf(&quoted, "\"ack-%s\"", id) > 0 &&
                    memmem(record->payload.p, record->payload.n, quoted, strlen(quoted));
        free(quoted);
        j->found += same;
        if (!same && !*j->fault) {
            (void)snprintf(j->fault, sizeof j->fault, "%s %llu is not what was told", told->channel,
                           (unsigned long long)record->offset);
        }
    }
}

static bool judge(const char *dir, const struct witness *w, char *out_text, size_t text_n)
{
    struct audit audit;
    struct judging j = {.witness = w};
    bool good = audit_open(&audit, dir) && audit_records(&audit, judge_record, &j) &&
                audit_verify(&audit) && audit.damaged == 0 && !*audit.text && !*j.fault &&
                j.found == w->events;
    (void)snprintf(out_text, text_n, "%s %s; %llu of %llu told events are there", audit.text,
                   j.fault, (unsigned long long)j.found, (unsigned long long)w->events);
    audit_close(&audit);
    return good;
}

/* ---- replay ---- */

static void replay(struct disk *d, struct witness *w, const struct tap *tap, struct slice bytes)
{
    char text[512] = "";
    memcpy(text, bytes.p,
           tap->kind >= TAP_RENAME || tap->kind == TAP_NAME
               ? (bytes.n < sizeof text ? bytes.n : sizeof text - 1)
               : 0);
    size_t text_n = strlen(text);
    if (tap->kind == TAP_FOLDER && text_n > 0 && text[text_n - 1] == '/') {
        text[text_n - 1] = '\0';
    }
    struct change change = {.kind = CHANGE_WRITE, .at = tap->at, .bytes = bytes};
    switch ((enum tap_kind)tap->kind) {
    case TAP_NAME:
    case TAP_FOLDER:
        if (!*text) {
            d->root = tap->file;
        } else if (!name_of(d, text)) {
            name_add(d, text, tap->file, tap->kind == TAP_FOLDER);
        }
        break;
    case TAP_WRITE:
        change_add(file_of(d, tap->file), change);
        break;
    case TAP_WRITE_SYNC:
        /* Of what was written before it nothing need be on disk. */
        change_apply(&file_of(d, tap->file)->durable, &change, 0, bytes.n);
        change_add(file_of(d, tap->file), change);
        break;
    case TAP_TRUNCATE:
        change = (struct change){.kind = CHANGE_LENGTH, .at = tap->at};
        change_add(file_of(d, tap->file), change);
        break;
    case TAP_SYNC:
        for (size_t i = 0; i < d->names_n; i++) {
            if (d->names[i].folder && d->names[i].inode == tap->file) {
                sync_folder(d, d->names[i].path);
                return;
            }
        }
        if (tap->file == d->root) {
            sync_folder(d, "");
        } else {
            sync_file(file_of(d, tap->file));
        }
        break;
    case TAP_RENAME: {
        struct name *from = name_of(d, text);
        const char *to = text + strlen(text) + 1;
        if (from) {
            uint64_t inode = from->inode;
            bool folder = from->folder;
            name_drop(d, to);
            name_drop(d, text);
            name_add(d, to, inode, folder);
        }
        break;
    }
    case TAP_UNLINK:
        name_drop(d, text);
        break;
    case TAP_TOLD:
        hear(w, bytes);
        break;
    }
}

struct plan {
    const char *work;
    uint64_t seed, images;
    unsigned subsets;
};

static bool try_image(struct plan *plan, struct disk *d, const struct witness *w, size_t record,
                      enum manner manner)
{
    char text[5000], *dir = NULL;
    uint64_t seed = plan->seed;
    if (asprintf(&dir, "%s/image", plan->work) < 0) {
        exit(2);
    }
    write_image(d, dir, &plan->seed, manner);
    plan->images++;
    bool good = judge(dir, w, text, sizeof text);
    if (!good) {
        fprintf(stderr, "power cut after record %zu, state of the generator %llu: %s\n", record,
                (unsigned long long)seed, text);
    }
    free(dir);
    return good;
}

static bool cut_here(struct plan *plan, struct disk *d, const struct witness *w, size_t record)
{
    bool good = try_image(plan, d, w, record, NOTHING) && try_image(plan, d, w, record, EVERYTHING);
    for (unsigned i = 0; good && i < plan->subsets; i++) {
        good = try_image(plan, d, w, record, SOME);
    }
    return good;
}

static void keep(struct plan *plan, struct disk *d, const struct witness *w, unsigned number)
{
    char *dir = NULL;
    if (asprintf(&dir, "%s/kept-%u/data", plan->work, number) < 0) {
        exit(2);
    }
    write_image(d, dir, &plan->seed, SOME);
    printf("kept %s/kept-%u - 0\n", plan->work, number);
    for (size_t i = 0; i < w->n; i++) {
        printf("kept %s/kept-%u %s %llu\n", plan->work, number, w->channels[i].channel,
               (unsigned long long)w->channels[i].last);
    }
    free(dir);
}

int main(int argc, char **argv)
{
    static struct disk disk;
    static struct witness witness;
    struct buf log = {0};
    if (argc != 6) {
        fprintf(stderr, "usage: fault_power LOG WORK SEED SUBSETS KEEP\n");
        return 2;
    }
    struct plan plan = {.work = argv[2],
                        .seed = strtoull(argv[3], NULL, 10) | 1,
                        .subsets = (unsigned)strtoul(argv[4], NULL, 10)};
    unsigned kept = 0, keep_n = (unsigned)strtoul(argv[5], NULL, 10);
    size_t records = 0, changes = 0, syncs = 0;
    struct tap tap;
    file_read(argv[1], &log);
    for (size_t at = 0; at + sizeof tap <= log.n; at += sizeof tap + tap.bytes_n) {
        memcpy(&tap, log.p + at, sizeof tap);
        if (at + sizeof tap + tap.bytes_n > log.n) {
            break;
        }
        replay(&disk, &witness, &tap, slice_of(log.p + at + sizeof tap, tap.bytes_n));
        records++;
        changes += tap.kind == TAP_WRITE || tap.kind == TAP_WRITE_SYNC;
        syncs += tap.kind == TAP_SYNC || tap.kind == TAP_WRITE_SYNC;
        if (tap.kind != TAP_TOLD && !cut_here(&plan, &disk, &witness, records)) {
            return 1;
        }
        if (kept < keep_n && at * keep_n / log.n >= kept) {
            keep(&plan, &disk, &witness, kept++);
        }
    }
    printf("seed %s: power cut at every one of %zu writes and syncs (%zu syncs); %llu images, "
           "%llu events told on %zu channels, all there\n",
           argv[3], changes + syncs, syncs, (unsigned long long)plan.images,
           (unsigned long long)witness.events, witness.n);
    return 0;
}
