#include "auth_test.h"

#include "auth/pattern.h"

static bool match(const char *pattern, const char *name)
{
    return pattern_match(slice_str(pattern), slice_str(name));
}

static bool covers(const char *outer, const char *inner)
{
    return pattern_covers(slice_str(outer), slice_str(inner));
}

static void a_star_is_one_segment_and_the_rest_is_one_or_more(void **state)
{
    (void)state;
    assert_true(match("agent.*", "agent.7"));
    assert_false(match("agent.*", "agent"));
    assert_false(match("agent.*", "agent.7.log"));
    assert_true(match("agent.>", "agent.7"));
    assert_true(match("agent.>", "agent.7.log"));
    assert_false(match("agent.>", "agent"));
    assert_true(match(">", "a.b.c"));
    assert_true(match("*.b.>", "a.b.c"));
    assert_false(match("*.b.>", "a.b"));
    assert_true(match("*", ""
                           ".") == false);
    assert_true(match("*.*", "."));
    assert_true(match("a", "a"));
    assert_false(match("a", "b"));
    assert_false(match("", ""));
    assert_false(match(">", ""));
    assert_false(match("", "a"));
}

static void wildcards_in_a_name_are_nothing_special(void **state)
{
    (void)state;
    assert_false(match("a", "*"));
    assert_false(match("a.b", "a.>"));
    assert_true(match("*", ">"));
}

static void only_whole_segments_are_wild(void **state)
{
    (void)state;
    static const char *const good[] = {"a",     "*",    ">", "a.*",           "a.>",
                                       "*.*.>", "a..b", ".", "a-b=c@d,e;f_G9"};
    static const char *const bad[] = {"",    "a*",  "*a", ">a", ">.a", "a.>.b",    "a b",
                                      "a/b", "a\n", "**", ">>", "a#b", "\xc3\xa9", "a:b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(pattern_valid(slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(pattern_valid(slice_str(bad[i])));
    }
    uint8_t with_nul[3] = {'a', 0, 'b'}, longest[PATTERN_BYTES_MAX + 1];
    assert_false(pattern_valid(slice_of(with_nul, 3)));
    memset(longest, 'a', sizeof longest);
    assert_true(pattern_valid(slice_of(longest, PATTERN_BYTES_MAX)));
    assert_false(pattern_valid(slice_of(longest, PATTERN_BYTES_MAX + 1)));
}

static void wild_says_where_the_wildcards_are(void **state)
{
    (void)state;
    assert_true(pattern_is_wild(slice_str("a.*.b")));
    assert_true(pattern_is_wild(slice_str("a.>")));
    assert_false(pattern_is_wild(slice_str("a.b")));
    assert_false(pattern_is_wild(slice_str("a*")));
    assert_true(pattern_starts_wild(slice_str("*.a")));
    assert_true(pattern_starts_wild(slice_str(">")));
    assert_false(pattern_starts_wild(slice_str("a.*")));
    assert_false(pattern_starts_wild(slice_str("")));
}

static void covering_is_decided_by_segments(void **state)
{
    (void)state;
    assert_true(covers(">", "a.*"));
    assert_true(covers("a.>", "a.*"));
    assert_true(covers("a.>", "a.>"));
    assert_true(covers("*.*", "a.*"));
    assert_true(covers("a.*", "a.b"));
    assert_false(covers("a.*", "a.>"));
    assert_false(covers("a.*", "*.b"));
    assert_false(covers("*.>", ">"));
    assert_false(covers("a", "*"));
    assert_false(covers("a.b", "a"));
}

/* ---- against a model ---- */

enum { SEGMENTS = 3, LETTERS = 2 };
static const char *const words[] = {"a", "b", "*", ">", "z"};

/* The slow way: all ways for ">" to stand for one or more, by recursion. */
static bool model_match(const char *const *p, size_t pn, const char *const *s, size_t sn)
{
    if (pn == 0 || sn == 0) {
        return pn == sn;
    }
    if (strcmp(p[0], ">") == 0 && pn == 1) {
        return true;
    }
    bool one = strcmp(p[0], "*") == 0 || strcmp(p[0], s[0]) == 0;
    return one && model_match(p + 1, pn - 1, s + 1, sn - 1);
}

struct sample {
    size_t n;
    const char *segments[SEGMENTS + 1];
    char text[32];
};

static void sample_join(struct sample *s)
{
    s->text[0] = '\0';
    for (size_t i = 0; i < s->n; i++) {
        strcat(s->text, i ? "." : "");
        strcat(s->text, s->segments[i]);
    }
}

/* All lists of n = 1..max segments out of `choices` words; `>` only last. */
static size_t enumerate(struct sample *out, size_t max, const size_t *choices, size_t choices_n)
{
    size_t count = 0;
    for (size_t n = 1; n <= max; n++) {
        size_t all = 1;
        for (size_t i = 0; i < n; i++) {
            all *= choices_n;
        }
        for (size_t k = 0; k < all; k++) {
            struct sample s = {.n = n};
            bool fine = true;
            size_t rest = k;
            for (size_t i = 0; i < n; i++) {
                s.segments[i] = words[choices[rest % choices_n]];
                rest /= choices_n;
                fine = fine && (strcmp(s.segments[i], ">") != 0 || i + 1 == n);
            }
            if (fine) {
                sample_join(&s);
                out[count++] = s;
            }
        }
    }
    return count;
}

/* Patterns of up to 3 segments over {a, b, *, >}; names of up to 4 over {a, b, z}, where z is in no
 * pattern: if one pattern does not cover another, such a name shows it. */
static void matching_and_covering_agree_with_the_enumeration(void **state)
{
    (void)state;
    static struct sample patterns[512], names[512];
    static const size_t pattern_words[] = {0, 1, 2, 3}, name_words[] = {0, 1, 4};
    size_t pn = enumerate(patterns, SEGMENTS, pattern_words, 4);
    size_t nn = enumerate(names, SEGMENTS + 1, name_words, 3);
    assert_int_equal(nn, 3 + 9 + 27 + 81);
    for (size_t i = 0; i < pn; i++) {
        for (size_t k = 0; k < nn; k++) {
            assert_int_equal(
                match(patterns[i].text, names[k].text),
                model_match(patterns[i].segments, patterns[i].n, names[k].segments, names[k].n));
        }
        for (size_t j = 0; j < pn; j++) {
            bool all = true;
            for (size_t k = 0; k < nn && all; k++) {
                all = !match(patterns[j].text, names[k].text) ||
                      match(patterns[i].text, names[k].text);
            }
            if (covers(patterns[i].text, patterns[j].text) != all) {
                fail_msg("%s covers %s?", patterns[i].text, patterns[j].text);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_star_is_one_segment_and_the_rest_is_one_or_more),
        cmocka_unit_test(wildcards_in_a_name_are_nothing_special),
        cmocka_unit_test(only_whole_segments_are_wild),
        cmocka_unit_test(wild_says_where_the_wildcards_are),
        cmocka_unit_test(covering_is_decided_by_segments),
        cmocka_unit_test(matching_and_covering_agree_with_the_enumeration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
