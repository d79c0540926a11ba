/* tests/fuzz/replay.c: runs a fuzz target over the files of its corpus, without libFuzzer.
 *
 * Usage: fuzz_x FILE-OR-FOLDER...   Exit 0 when every input went through, 2 when one cannot be
 * read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t inputs_run;

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 2;
    }
    size_t cap = 1 << 16, n = 0, got;
    uint8_t *bytes = malloc(cap);
    while (bytes && (got = fread(bytes + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) {
            uint8_t *more = realloc(bytes, cap *= 2);
            if (!more) {
                free(bytes);
            }
            bytes = more;
        }
    }
    fclose(f);
    if (!bytes) {
        return 2;
    }
    /* An exact copy, so that the sanitizers see the first byte read past the end. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) {
        free(bytes);
        return 2;
    }
    memcpy(exact, bytes, n);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    inputs_run++;
    return 0;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 2;
    }
    if (!S_ISDIR(st.st_mode)) {
        return run_file(path);
    }
    DIR *dir = opendir(path);
    if (!dir) {
        return 2;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.') {
            continue;
        }
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        rc = run_path(inner);
    }
    closedir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = argc < 2 ? 2 : 0;
    for (int i = 1; i < argc && rc == 0; i++) {
        rc = run_path(argv[i]);
    }
    if (rc == 0 && inputs_run == 0) {
        fprintf(stderr, "replay: no input found\n");
        rc = 2;
    }
    printf("%zu inputs replayed\n", inputs_run);
    return rc;
}
