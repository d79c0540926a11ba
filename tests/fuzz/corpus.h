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

/* Calls visit for each file of the corpus NAME; returns how many there were. The build says where
 * the corpora are (FUZZ_CORPUS): a compiler cache may have made __FILE__ relative. */
static inline size_t corpus_visit(const char *name, void (*visit)(const uint8_t *bytes, size_t n))
{
    char folder[4096], path[8192];
    snprintf(folder, sizeof folder, "%s/%s", FUZZ_CORPUS, name);
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
