/* Options and operands of the command line, and the tables that all commands are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/cli.h"

// clang-format off
static const char *const colours[] = { "red", "green", "blue", NULL };
static const struct option options[] = {
    { 'f', "flag",  OPTION_FLAG,     0,               NULL,  "", NULL },
    { 'g', "great", OPTION_FLAG,     0,               NULL,  "", NULL },
    { 't', "text",  OPTION_TEXT,     0,               "T",   "", NULL },
    { 'n', "number", OPTION_NUMBER,  0,               "N",   "", NULL },
    { 0,   "share", OPTION_FRACTION, 0,               "S",   "", NULL },
    { 0,   "wait",  OPTION_SECONDS,  0,               "S",   "", NULL },
    { 'c', "colour", OPTION_CHOICE,  0,               "C",   "", colours },
    { 'H', "header", OPTION_PAIR,    OPTION_MANY,     "K=V", "", NULL },
    { 0 },
};
static const struct option needed[] = { { 0, "id", OPTION_TEXT, OPTION_REQUIRED, "ID", "", NULL }, { 0 } };
static const struct operand operands[] = {
    { "FIRST", OPTION_REQUIRED, "" }, { "SECOND", 0, "" }, { 0 } };
static const struct operand many[] = { { "ALL", OPTION_REQUIRED | OPTION_MANY, "" }, { 0 } };
// clang-format on

/* Reads a NULL-terminated command line with the table above. */
static bool read_line(struct args *a, char *const *argv)
{
    int argc = 0, at = 0;
    while (argv[argc]) {
        argc++;
    }
    *a = (struct args){0};
    args_add_table(a, options);
    return args_read(a, argc, argv, &at, false);
}

#define READ(a, ...) read_line(a, (char *[]){__VA_ARGS__, NULL})

static char w_c[] = "-c", w_red[] = "red", w_ftgreat[] = "-fgttext", w_nis[] = "-n7",
            w_header[] = "--header=a=b=c", w_H[] = "-H", w_xy[] = "x=y", w_one[] = "one",
            w_two[] = "two", w_dashes[] = "--", w_minus_f[] = "-f", w_dash[] = "-", w_m5[] = "-5",
            w_wait[] = "--wait", w_250ms[] = "250ms";

static void every_way_of_writing_an_option_is_read(void **state)
{
    struct args a;
    (void)state;
    assert_true(READ(&a, w_one, w_ftgreat, w_nis, w_c, w_red, w_header, w_H, w_xy, w_two));
    assert_true(args_has(&a, "flag"));
    assert_true(args_has(&a, "great"));
    assert_string_equal(args_text(&a, "text"), "text");
    assert_int_equal(args_number(&a, "number", 0), 7);
    assert_string_equal(args_text(&a, "colour"), "red");
    assert_int_equal(args_count(&a, "header"), 2);
    assert_string_equal(args_nth(&a, "header", 0), "a=b=c");
    assert_string_equal(args_nth(&a, "header", 1), "x=y");
    assert_int_equal(a.operand_count, 2);
    assert_string_equal(args_operand(&a, 1), "two");
    assert_null(args_operand(&a, 2));
    args_done(&a);
}

static void a_dash_a_negative_number_and_what_follows_two_dashes_are_operands(void **state)
{
    struct args a;
    (void)state;
    assert_true(READ(&a, w_dash, w_m5, w_dashes, w_minus_f));
    assert_false(args_has(&a, "flag"));
    assert_int_equal(a.operand_count, 3);
    assert_string_equal(args_operand(&a, 0), "-");
    assert_string_equal(args_operand(&a, 1), "-5");
    assert_string_equal(args_operand(&a, 2), "-f");
    args_done(&a);
}

static void what_is_not_given_has_the_default(void **state)
{
    struct args a;
    (void)state;
    assert_true(READ(&a, w_wait, w_250ms));
    assert_int_equal(args_ms(&a, "wait", 9), 250);
    assert_int_equal(args_number(&a, "number", 42), 42);
    assert_null(args_text(&a, "text"));
    args_done(&a);
}

static void a_wrong_word_is_refused_with_a_sentence(void **state)
{
    // clang-format off
    static const struct { const char *words[3]; const char *says; } cases[] = {
        { { "--colur", "red" },   "unknown option --colur; did you mean --colour?" },
        { { "--colour", "gren" }, "--colour is one of red, green, blue, not \"gren\"; did you mean green?" },
        { { "--colour", "mauve" }, "--colour is one of red, green, blue, not \"mauve\"" },
        { { "-x" },               "unknown option -x" },
        { { "--zzzzzz" },         "unknown option --zzzzzz" },
        { { "--flag=1" },         "--flag takes no value" },
        { { "--number", "-1" },   "--number wants a whole number, not \"-1\"" },
        { { "--number=1e3" },     "--number wants a whole number, not \"1e3\"" },
        { { "--number=9223372036854775808" }, "--number wants a whole number, not \"9223372036854775808\"" },
        { { "--share", "1.1" },   "--share wants a number from 0 to 1, not \"1.1\"" },
        { { "--wait", "soon" },   "--wait wants a time such as 30, 1.5, 250ms, 5m or 1h, not \"soon\"" },
        { { "--header", "=x" },   "--header wants key=value, not \"=x\"" },
        { { "--text=" },          "--text wants a value, not an empty one" },
        { { "--text" },           "--text wants a value: --text T" },
        { { "-n" },               "--number wants a value: --number N" },
    };
    // clang-format on
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct args a;
        char one[64], two[64];
        snprintf(one, sizeof one, "%s", cases[i].words[0]);
        snprintf(two, sizeof two, "%s", cases[i].words[1] ? cases[i].words[1] : "");
        assert_false(READ(&a, one, cases[i].words[1] ? two : NULL));
        assert_string_equal(args_error(&a), cases[i].says);
        args_done(&a);
    }
}

static void the_end_tells_what_is_missing_or_too_much(void **state)
{
    struct args a;
    (void)state;
    assert_true(READ(&a, w_minus_f));
    assert_false(args_check(&a, operands));
    assert_string_equal(args_error(&a), "FIRST is missing");
    args_done(&a);

    assert_true(READ(&a, w_one, w_two, w_red));
    assert_false(args_check(&a, operands));
    assert_string_equal(args_error(&a), "unexpected \"red\"");
    assert_true(args_check(&a, many));
    args_done(&a);

    assert_true(READ(&a, w_one, w_nis, w_nis));
    assert_false(args_check(&a, operands));
    assert_string_equal(args_error(&a), "--number is given more than once");
    args_done(&a);

    assert_true(READ(&a, w_one));
    args_add_table(&a, needed);
    assert_false(args_check(&a, operands));
    assert_string_equal(args_error(&a), "--id ID is missing");
    args_done(&a);
}

static void times_are_read_with_their_units(void **state)
{
    // clang-format off
    static const struct { const char *text; int64_t ms; } good[] = {
        { "0", 0 }, { "30", 30000 }, { "1.5", 1500 }, { "250ms", 250 }, { "10s", 10000 },
        { "5m", 300000 }, { "1h", 3600000 }, { "7d", 604800000 } };
    static const char *const bad[] = { "", "-1", "s", "1x", "1 s", "1ms1", "inf", "nan", "1e300", ".5" };
    // clang-format on
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(option_ms(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ms = 77;
        assert_false(option_ms(bad[i], &ms));
        assert_int_equal(ms, 77);
    }
}

static void the_nearest_word_is_near(void **state)
{
    static const char *const words[] = {"publish", "tail", "agent", "context"};
    (void)state;
    assert_string_equal(nearest_word("pubilsh", words, 4), "publish");
    assert_string_equal(nearest_word("agnet", words, 4), "agent");
    assert_string_equal(nearest_word("conext", words, 4), "context");
    assert_null(nearest_word("xyz", words, 4));
    assert_null(nearest_word("", words, 4));
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_null(nearest_word(longest, words, 4));
}

/* --- the tables of all commands ----------------------------------------------------------------
 */

static bool check_options(const struct option *table, const struct option *others)
{
    for (const struct option *o = table; o && o->name; o++) {
        assert_true(o->help && *o->help);
        assert_true((o->kind == OPTION_FLAG) == (o->value == NULL));
        assert_true((o->kind == OPTION_CHOICE) == (o->choices != NULL));
        const struct option *const tables[] = {o + 1, others};
        for (size_t t = 0; t < 2; t++) {
            for (const struct option *p = tables[t]; p && p->name; p++) {
                assert_string_not_equal(o->name, p->name);
                assert_true(o->letter == 0 || o->letter != p->letter);
            }
        }
    }
    return true;
}

static bool check_command(void *ctx, const struct command *command)
{
    unsigned *count = ctx;
    ++*count;
    assert_true(command->run != NULL);
    assert_ptr_equal(command_find(command->name), command); /* no two of one name */
    assert_false(command_is_group(command->name));
    assert_true(command->name[0] == '_' || *command->summary);
    assert_true(!*command->summary || command->summary[strlen(command->summary) - 1] != '.');
    return check_options(command->options, global_options);
}

static void every_row_of_the_tables_is_whole(void **state)
{
    unsigned count = 0;
    (void)state;
    check_options(global_options, NULL);
    commands_each(check_command, &count);
    assert_true(count > 10);
    for (const struct command_group *g = command_groups; g->name; g++) {
        assert_true(command_is_group(g->name));
    }
}

static bool check_group(void *ctx, const struct command *command)
{
    (void)ctx;
    size_t n = strcspn(command->name, " ");
    bool found = command->name[n] == '\0';
    for (const struct command_group *g = command_groups; g->name; g++) {
        found = found || (strlen(g->name) == n && memcmp(g->name, command->name, n) == 0);
    }
    assert_true(found);
    return true;
}

static void every_noun_has_its_line_in_the_overview(void **state)
{
    (void)state;
    commands_each(check_group, NULL);
}

static bool has_option(const struct command *command, const char *name)
{
    for (const struct option *o = command->options; o && o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What a hub does not hear of has no event to stand in. */
static bool asks_for_a_reason(void *ctx, const struct command *command)
{
    bool local =
        strcmp(command->name, "backup restore") == 0 || strcmp(command->name, "context rm") == 0;
    if (has_option(command, "yes") && !local && !has_option(command, "reason")) {
        print_error("%s takes no --reason\n", command->name);
        ++*(size_t *)ctx;
    }
    return true;
}

static void whatever_asks_first_takes_a_reason(void **state)
{
    size_t wrong = 0;
    (void)state;
    commands_each(asks_for_a_reason, &wrong);
    assert_int_equal(wrong, 0);
}

static void words_that_may_follow_are_offered_once(void **state)
{
    const char *words[64];
    (void)state;
    size_t n = command_next_words("context", words, 64);
    assert_int_equal(n, 5);
    size_t contexts = 0;
    n = command_next_words("", words, 64);
    for (size_t i = 0; i < n; i++) {
        contexts += strncmp(words[i], "context", 7) == 0;
    }
    assert_int_equal(contexts, 1);
    assert_int_equal(command_next_words("nothing", words, 64), 0);
    assert_false(command_is_group("contex"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_writing_an_option_is_read),
        cmocka_unit_test(a_dash_a_negative_number_and_what_follows_two_dashes_are_operands),
        cmocka_unit_test(what_is_not_given_has_the_default),
        cmocka_unit_test(a_wrong_word_is_refused_with_a_sentence),
        cmocka_unit_test(the_end_tells_what_is_missing_or_too_much),
        cmocka_unit_test(times_are_read_with_their_units),
        cmocka_unit_test(the_nearest_word_is_near),
        cmocka_unit_test(every_row_of_the_tables_is_whole),
        cmocka_unit_test(every_noun_has_its_line_in_the_overview),
        cmocka_unit_test(whatever_asks_first_takes_a_reason),
        cmocka_unit_test(words_that_may_follow_are_offered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
