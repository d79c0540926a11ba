/* tests/fuzz/corpus.h: reads the corpora, for unit tests that want every input of them. */
#ifndef WAGGLE_TESTS_FUZZ_CORPUS_H
#define WAGGLE_TESTS_FUZZ_CORPUS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/mem.h"

static inline void corpus_read(struct buf *out, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t got;
    buf_clear(out);
    while (f && (got = fread(buf_reserve(out, 4096), 1, 4096, f)) > 0) {
        out->n += got;
    }
    if (f) {
        fclose(f);
    }
}

/* Calls visit for each file of fuzz/corpus/NAME beside the folder of the given source file; returns
 * how many there were. */
static inline size_t corpus_visit(const char *source_file, const char *name,
                                  void (*visit)(const uint8_t *bytes, size_t n))
{
    char folder[4096], path[8192];
    const char *slash = strrchr(source_file, '/');
    int folder_n = slash ? (int)(slash - source_file) : 0;
    snprintf(folder, sizeof folder, "%.*s/../fuzz/corpus/%s", folder_n, source_file, name);
    DIR *dir = opendir(folder);
    struct buf bytes = {0};
    size_t count = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            corpus_read(&bytes, path);
            visit(bytes.p, bytes.n);
            count++;
        }
    }
    if (dir) {
        closedir(dir);
    }
    buf_done(&bytes);
    return count;
}

#endif
