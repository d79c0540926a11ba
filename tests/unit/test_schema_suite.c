/* tests/unit/test_schema_suite.c: the official JSON-Schema-Test-Suite, if it is at hand.
 *
 * WAGGLE_SCHEMA_SUITE names a folder that has tests/draft2020-12, tests/draft7 and remotes
 * (Debian's libtest-json-schema-acceptance-perl installs one). Without it nothing is tested, and a
 * line says so. Every required case must pass. What we knowingly leave out of the optional ones is
 * in the table `left_out`; a newer suite may bring a few that we have not met, which are told and
 * forgiven.
 */
#define _GNU_SOURCE
#include "hub/schema/schema.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CASES_MIN = 1000, NEWS_MAX = 10 };

/* clang-format off */
static struct {
    const char *file, *why;
    size_t excused;
} left_out[] = {
    {"optional/content.json",     "content* keywords are annotations", 0},
    {"optional/cross-draft.json", "draft 2019-09 is not spoken",       0},
};
/* clang-format on */
enum { LEFT_OUT = sizeof left_out / sizeof left_out[0] };

static json_t *remotes;
static size_t passed, failed, news, excused;

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *json =
        json_load_file(path, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!json) {
        printf("  %s: %s\n", path, error.text);
    }
    return json;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

typedef void (*visit_file)(const char *path, const char *relative);

static void walk(const char *root, const char *relative, visit_file visit)
{
    char *path, *inner;
    if (asprintf(&path, "%s/%s", root, relative) < 0) {
        return;
    }
    DIR *dir = opendir(path);
    free(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        if (e->d_name[0] == '.') {
            continue;
        }
        if (asprintf(&inner, "%s%s%s", relative, *relative ? "/" : "", e->d_name) < 0) {
            break;
        }
        if (asprintf(&path, "%s/%s", root, inner) < 0) {
            free(inner);
            break;
        }
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            walk(root, inner, visit);
        } else if (ends_with(inner, ".json")) {
            visit(path, inner);
        }
        free(path);
        free(inner);
    }
    if (dir) {
        closedir(dir);
    }
}

static void add_remote(const char *path, const char *relative)
{
    char uri[4096];
    snprintf(uri, sizeof uri, "http://localhost:1234/%s", relative);
    json_object_set_new(remotes, uri, load(path));
}

static int excuse(const char *file)
{
    for (size_t i = 0; i < LEFT_OUT; i++) {
        if (strcmp(left_out[i].file, file) == 0) {
            left_out[i].excused++;
            return 1;
        }
    }
    return 0;
}

static void tell_left_out(void)
{
    for (size_t i = 0; i < LEFT_OUT; i++) {
        printf("left out: %zu cases of %s: %s\n", left_out[i].excused, left_out[i].file,
               left_out[i].why);
    }
}

static enum schema_draft draft_of_run;
static const char *draft_name;

static void judge(const char *file, const char *group, const json_t *test,
                  const struct schema *schema, const struct schema_problem *problem)
{
    int wanted = json_is_true(json_object_get(test, "valid"));
    int got = schema ? schema_valid(schema, json_object_get(test, "data")) : -1;
    if (got == wanted) {
        passed++;
        return;
    }
    if (excuse(file)) {
        excused++;
        return;
    }
    *(strncmp(file, "optional/", 9) == 0 ? &news : &failed) += 1;
    printf("  FAIL %s %s | %s | %s: wanted %s%s%s %s\n", draft_name, file, group,
           json_string_value(json_object_get(test, "description")), wanted ? "valid" : "invalid",
           schema ? "" : "; does not compile: ", schema ? "" : problem->place,
           schema ? "" : problem->reason);
}

static void run_file(const char *path, const char *relative)
{
    json_t *groups = load(path);
    struct schema_options options = {.draft = draft_of_run, .resources = remotes};
    options.assert_formats = strncmp(relative, "optional/format/", 16) == 0 ||
                             strstr(relative, "ecmascript-regex") != NULL;
    size_t i, j;
    json_t *group, *test;
    json_array_foreach(groups, i, group)
    {
        struct schema_problem problem = {0};
        struct schema *schema =
            schema_compile(json_object_get(group, "schema"), &options, &problem);
        const char *name = json_string_value(json_object_get(group, "description"));
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            judge(relative, name, test, schema, &problem);
        }
        schema_free(schema);
    }
    json_decref(groups);
}

static void run_draft(const char *suite, const char *name, enum schema_draft draft)
{
    char root[4096];
    size_t before = passed;
    draft_of_run = draft;
    draft_name = name;
    snprintf(root, sizeof root, "%s/tests/%s", suite, name);
    walk(root, "", run_file);
    printf("%s: %zu cases pass\n", name, passed - before);
}

int main(void)
{
    const char *suite = getenv("WAGGLE_SCHEMA_SUITE");
    if (!suite || !*suite) {
        printf("SKIPPED: WAGGLE_SCHEMA_SUITE is not set, the official JSON Schema suite was not "
               "run\n");
        return 0;
    }
    char root[4096];
    remotes = json_object();
    snprintf(root, sizeof root, "%s/remotes", suite);
    walk(root, "", add_remote);
    run_draft(suite, "draft2020-12", SCHEMA_2020_12);
    run_draft(suite, "draft7", SCHEMA_DRAFT_7);
    json_decref(remotes);
    printf("%zu pass, %zu required and %zu optional fail, %zu left out\n", passed, failed, news,
           excused);
    tell_left_out();
    if (passed < CASES_MIN) {
        printf("only %zu cases found in %s\n", passed, suite);
        return 1;
    }
    return failed > 0 || news > NEWS_MAX;
}
