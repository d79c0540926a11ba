/* The file of contexts, and which hub and credentials come of it. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/cli/contexts.h"
#include "hub/cli/target.h"

static char folder[64], config[160];

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *in_folder(const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {
        "WAGGLE_URL",          "WAGGLE_TOKEN",   "WAGGLE_TOKEN_FILE", "WAGGLE_API_KEY",
        "WAGGLE_API_KEY_FILE", "WAGGLE_CONTEXT", "WAGGLE_CA_FILE"};
    snprintf(folder, sizeof folder, "/tmp/waggle-contexts-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(config, sizeof config, "%s/waggle/config", folder);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsetenv(names[i]);
    }
    return setenv("XDG_CONFIG_HOME", folder, 1);
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void what_is_saved_is_loaded_and_private(void **state)
{
    struct contexts c = {0}, again;
    struct buf error = {0};
    struct stat st;
    (void)state;
    context_set(contexts_add(&c, "one"), CONTEXT_URL, "http://a:1");
    context_set(contexts_add(&c, "two"), CONTEXT_KEY_FILE, "/k e y");
    contexts_use(&c, "one");
    contexts_use(&c, "two");
    assert_true(contexts_save(&c, config, &error));
    assert_true(stat(config, &st) == 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(contexts_load(&again, config, &error));
    assert_int_equal(again.n, 2);
    assert_string_equal(again.current, "two");
    assert_string_equal(again.previous, "one");
    assert_string_equal(contexts_find(&again, "one")->value[CONTEXT_URL], "http://a:1");
    assert_string_equal(contexts_find(&again, "two")->value[CONTEXT_KEY_FILE], "/k e y");
    assert_null(contexts_find(&again, "two")->value[CONTEXT_URL]);
    contexts_remove(&again, "two");
    assert_null(again.current);
    assert_int_equal(again.n, 1);
    contexts_done(&again);
    contexts_done(&c);
}

static void saving_again_keeps_the_file_private_and_leaves_nothing_behind(void **state)
{
    struct contexts c = {0};
    struct buf error = {0};
    struct stat st;
    char command[256];
    (void)state;
    contexts_add(&c, "one");
    assert_true(contexts_save(&c, config, &error));
    assert_int_equal(chmod(config, 0644), 0);
    assert_true(contexts_save(&c, config, &error));
    assert_true(stat(config, &st) == 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(command, sizeof command, "test \"$(ls '%s/waggle')\" = config", folder);
    assert_int_equal(system(command), 0);
    contexts_done(&c);
}

static void no_file_is_an_empty_one(void **state)
{
    struct contexts c;
    struct buf error = {0};
    (void)state;
    assert_true(contexts_load(&c, config, &error));
    assert_int_equal(c.n, 0);
    contexts_done(&c);
}

static void a_line_that_says_nothing_known_is_named(void **state)
{
    static const char *const bad[] = {"\n\nnonsense\n", "# c\n\n[a b]\n",     "\n\n[a\n",
                                      "\n\nurl = x\n",  "[a]\n\nwrong = 1\n", "[a]\n\n[a]\n"};
    struct contexts c;
    (void)state;
    char *path = in_folder("bad");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf error = {0};
        put_file(path, bad[i]);
        assert_false(contexts_load(&c, path, &error));
        buf_add(&error, "", 1);
        assert_non_null(strstr((char *)error.p, ", line 3: "));
        buf_done(&error);
    }
    free(path);
}

static void expect_url(const char *url, const char *base, const char *host, bool tls, bool loopback)
{
    struct target t = {0};
    struct buf error = {0};
    assert_true(target_set_url(&t, url, &error));
    assert_string_equal(t.url, base);
    assert_string_equal(t.host, host);
    assert_int_equal(t.tls, tls);
    assert_int_equal(t.loopback, loopback);
    target_done(&t);
}

static void urls_are_taken_apart(void **state)
{
    static const char *const bad[] = {
        "",           "localhost",     "ftp://x",         "http://",
        "http://a@b", "http://a/path", "unix://relative", "http://a\r\nb",
        "http://a?b"};
    (void)state;
    expect_url("http://127.0.0.1:8000/", "http://127.0.0.1:8000", "127.0.0.1:8000", false, true);
    expect_url("https://hub.example", "https://hub.example", "hub.example", true, false);
    expect_url("http://[::1]:9", "http://[::1]:9", "[::1]:9", false, true);
    expect_url("unix:///run/w.sock", "http://localhost", "localhost", false, true);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct target t = {0};
        struct buf error = {0};
        assert_false(target_set_url(&t, bad[i], &error));
        assert_true(error.n > 0);
        buf_done(&error);
        target_done(&t);
    }
}

/* Who and where, when a context `home` with a key file is the current one. */
static struct target found(const struct target_flags *flags)
{
    struct contexts c = {0};
    struct buf error = {0};
    struct target t;
    char *key = in_folder("key");
    put_file(key, "  context-key \n");
    struct context *home = contexts_add(&c, "home");
    context_set(home, CONTEXT_URL, "http://home:1");
    context_set(home, CONTEXT_KEY_FILE, key);
    context_set(home, CONTEXT_APP, "garden");
    contexts_use(&c, "home");
    assert_true(contexts_save(&c, config, &error));
    assert_true(target_find(&t, flags, &error));
    contexts_done(&c);
    free(key);
    return t;
}

static void the_context_is_used_when_nothing_is_stronger(void **state)
{
    struct target t = found(&(struct target_flags){0});
    (void)state;
    assert_string_equal(t.url, "http://home:1");
    assert_string_equal(t.secret, "context-key");
    assert_int_equal(t.kind, CREDENTIAL_KEY);
    assert_string_equal(t.app, "garden");
    target_done(&t);
}

static void the_environment_is_stronger_than_the_context(void **state)
{
    (void)state;
    setenv("WAGGLE_TOKEN", "a.b.c", 1);
    struct target t = found(&(struct target_flags){0});
    assert_int_equal(t.kind, CREDENTIAL_TOKEN);
    assert_string_equal(t.secret, "a.b.c");
    target_done(&t);
    t = found(&(struct target_flags){.context = "home"});
    assert_string_equal(t.secret, "context-key"); /* it was asked for by name */
    target_done(&t);
}

static void credentials_of_a_context_stay_with_its_url(void **state)
{
    (void)state;
    setenv("WAGGLE_URL", "http://elsewhere", 1);
    struct target t = found(&(struct target_flags){0});
    assert_string_equal(t.url, "http://elsewhere");
    assert_int_equal(t.kind, CREDENTIAL_NONE);
    assert_null(t.app);
    target_done(&t);
}

static void a_secret_that_could_end_its_header_is_refused(void **state)
{
    struct target t;
    struct buf error = {0};
    (void)state;
    char *key = in_folder("evil");
    put_file(key, "good\r\nX-Other: 1\n");
    assert_false(target_find(&t, &(struct target_flags){.key_file = key}, &error));
    target_done(&t);
    buf_done(&error);
    put_file(key, " \n");
    assert_false(target_find(&t, &(struct target_flags){.key_file = key}, &error));
    target_done(&t);
    buf_done(&error);
    setenv("WAGGLE_API_KEY", "a b", 1);
    assert_false(target_find(&t, &(struct target_flags){0}, &error));
    target_done(&t);
    buf_done(&error);
    free(key);
}

static void a_changed_file_renews_the_secret(void **state)
{
    struct target t;
    struct buf error = {0};
    (void)state;
    char *key = in_folder("token");
    put_file(key, "first\n");
    assert_true(target_find(&t, &(struct target_flags){.token_file = key}, &error));
    assert_false(target_renew(&t));
    put_file(key, "second\n");
    assert_true(target_renew(&t));
    assert_string_equal(t.secret, "second");
    unlink(key);
    assert_false(target_renew(&t));
    assert_string_equal(t.secret, "second");
    target_done(&t);
    free(key);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_is_saved_is_loaded_and_private),
        CASE(saving_again_keeps_the_file_private_and_leaves_nothing_behind),
        CASE(no_file_is_an_empty_one),
        CASE(a_line_that_says_nothing_known_is_named),
        CASE(urls_are_taken_apart),
        CASE(the_context_is_used_when_nothing_is_stronger),
        CASE(the_environment_is_stronger_than_the_context),
        CASE(credentials_of_a_context_stay_with_its_url),
        CASE(a_secret_that_could_end_its_header_is_refused),
        CASE(a_changed_file_renews_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
