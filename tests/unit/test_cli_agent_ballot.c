/* The ballots of `waggle agent run` and the key that it signs them with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/base64url.h"
#include "auth/digest.h"
#include "channels/json_scan.h"
#include "hub/cli/agent_ballot.h"
#include "hub/cli/agent_key.h"
#include "hub/cli/http.h"
#include "hub/cli/output.h"
#include "hub/consensus/certificate.h"

#define DIGEST "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char *round_text(const char *rule, const char *options, const char *seat)
{
    struct buf b = {0};
    buf_printf(&b,
               "{\"round_id\":\"r-1\",\"rule\":\"%s\",\"status\":\"open\",\"digest\":\"" DIGEST
               "\",\"options\":%s,\"electorate\":[{\"id\":\"ant\",\"voted\":true},%s]}",
               rule, options, seat);
    buf_add(&b, "", 1);
    return (char *)b.p;
}

/* public_key: of the seed 7, 0, 0, … */
#define SEAT                                                                                       \
    "{\"id\":\"bee\",\"voted\":false,\"public_key\":\"ovovSjVboukHpTAJ6eN8rd96x-"                  \
    "ZqCLoHYx9VMHKz8kw\"}"

/* The vote alone, as JSON; "no: why" when there is none. */
static char *ballot(const char *how, const char *rule, const char *options, const char *words,
                    const struct signing *keys)
{
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    struct agent_voter voter = {.id = "bee", .how = how, .keys = keys};
    char *round = round_text(rule, options, SEAT), why[256] = "";
    json_begin(&o, '{');
    bool good = agent_ballot_put(&o, &voter, slice_str(round), slice_str(words), slice_of(NULL, 0),
                                 why, sizeof why);
    json_end(&o, '}');
    if (!good) {
        b.n = 0;
        buf_printf(&b, "no: %s", why);
    }
    buf_add(&b, "", 1);
    free(round);
    return (char *)b.p;
}

static void says(const char *how, const char *rule, const char *words, const char *want)
{
    char *got = ballot(how, rule, "[\"yes\",\"n\\u006f\",\"maybe\"]", words, NULL), whole[256];
    snprintf(whole, sizeof whole,
             *want == 'n' ? "%s" : "{\"round_id\":\"r-1\",\"voter\":\"bee\",%s}", want);
    assert_string_equal(got, whole);
    free(got);
}

static void a_commands_words_are_a_ballot_of_the_rounds_kind(void **state)
{
    (void)state;
    says("first", "majority", "", "\"choice\":\"yes\"");
    says("first", "borda", "", "\"ranking\":[\"yes\"]");
    says("first", "score_mean", "", "\"abstain\":true");
    says("sh", "majority", " no \n", "\"choice\":\"no\"");
    says("sh", "majority", " \n", "\"abstain\":true");
    says("sh", "irv", "maybe\nyes\n", "\"ranking\":[\"maybe\",\"yes\"]");
    says("sh", "approval", "maybe\nyes\n", "\"choices\":[\"yes\",\"maybe\"]");
    says("sh", "score_mean", "-2.5\n", "\"score\":-2.5");
}

static void words_that_are_no_option_are_no_ballot(void **state)
{
    (void)state;
    says("sh", "majority", "perhaps", "no: this is no ballot: perhaps");
    says("sh", "irv", "yes\nyes", "no: this is no ballot: yes\nyes");
    says("sh", "score_mean", "1e9", "no: this is no ballot: 1e9");
    says("sh", "score_mean", "high", "no: this is no ballot: high");
    says("sh", "of-tomorrow", "yes", "no: a kind of round that this program does not know");
}

static void a_signature_fits_the_vote_and_the_key_and_no_other(void **state)
{
    uint8_t seed[SIGNING_SEED_BYTES] = {7}, digest[SHA256_BYTES], signature[SIGNATURE_BYTES];
    struct signing *keys = signing_of(seed, 0);
    struct slice options[] = {slice_str("yes"), slice_str("no")}, text;
    size_t n = 0;
    (void)state;
    char *got = ballot("sh", "majority", "[\"yes\",\"no\"]", "no", keys);
    assert_true(json_is_plain(json_at(slice_str(got), "signature"), &text));
    assert_true(base64url_get(text, signature, sizeof signature, &n) && n == sizeof signature);
    assert_true(hex_get(slice_str(DIGEST), digest, sizeof digest));
    for (uint8_t choice = 0; choice < 2; choice++) {
        struct round_ballot b = {.vote = {.choices_n = 1, .choices = {choice}}};
        struct buf message = {0};
        ballot_message(&message, slice_str("r-1"), digest, slice_str("bee"), FORM_ONE, options, &b);
        assert_int_equal(
            signature_check(signing_public(keys), BALLOT_PURPOSE, buf_slice(&message), signature),
            choice == 1);
        buf_done(&message);
    }
    free(got);
    signing_unref(keys);
}

static void a_round_that_does_not_know_the_key_gets_no_signature(void **state)
{
    uint8_t seed[SIGNING_SEED_BYTES] = {8};
    struct signing *keys = signing_of(seed, 0);
    (void)state;
    char *got = ballot("first", "majority", "[\"yes\"]", "", keys);
    assert_int_equal(json_at(slice_str(got), "signature").n, 0);
    free(got);
    signing_unref(keys);
}

static void chance_is_the_same_when_it_is_asked_again_and_reaches_every_option(void **state)
{
    bool seen[3] = {false};
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char *round = round_text("plurality", "[\"0\",\"1\",\"2\"]", SEAT), id[16], why[256];
        struct buf first = {0};
        snprintf(id, sizeof id, "bee-%u", i);
        for (unsigned again = 0; again < 2; again++) {
            struct agent_voter voter = {.id = id, .how = "random"};
            struct buf b = {0};
            struct json_out o = json_out_to(&b);
            struct slice choice;
            json_begin(&o, '{');
            assert_true(agent_ballot_put(&o, &voter, slice_str(round), slice_str(""),
                                         slice_of(NULL, 0), why, 256));
            json_end(&o, '}');
            assert_true(json_is_plain(json_at(buf_slice(&b), "choice"), &choice));
            seen[choice.p[0] - '0'] = true;
            if (again) {
                assert_true(slice_equal(buf_slice(&first), buf_slice(&b)));
            } else {
                buf_add_slice(&first, buf_slice(&b));
            }
            buf_done(&b);
        }
        buf_done(&first);
        free(round);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
}

static void what_is_due_follows_from_the_round_its_phase_and_the_seat(void **state)
{
    static const struct {
        const char *seat, *phase;
        enum agent_ballot_due due;
    } cases[] = {
        {SEAT, "", BALLOT_DUE_VOTE},
        {"{\"id\":\"b\\u0065e\",\"voted\":false}", "", BALLOT_DUE_VOTE},
        {"{\"id\":\"bee\",\"voted\":true}", "", BALLOT_DUE_NOTHING},
        {"{\"id\":\"wasp\",\"voted\":false}", "", BALLOT_DUE_NOTHING},
        {"{\"id\":\"bee\",\"committed\":false,\"voted\":false}", "commit", BALLOT_DUE_COMMITMENT},
        {"{\"id\":\"bee\",\"committed\":true,\"voted\":false}", "commit", BALLOT_DUE_LATER},
        {"{\"id\":\"bee\",\"committed\":true,\"voted\":false}", "reveal", BALLOT_DUE_REVEAL},
        {"{\"id\":\"bee\",\"committed\":false,\"voted\":false}", "reveal", BALLOT_DUE_NOTHING},
        {"{\"id\":\"bee\",\"committed\":true,\"voted\":true}", "reveal", BALLOT_DUE_NOTHING},
    };
    struct agent_voter voter = {.id = "bee", .how = "first"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char seats[200], *round;
        snprintf(seats, sizeof seats, *cases[i].phase ? "%s],\"phase\":\"%s\",\"x\":[1" : "%s",
                 cases[i].seat, cases[i].phase);
        round = round_text("majority", "[\"yes\"]", seats);
        assert_int_equal(agent_ballot_due(&voter, slice_str(round)), cases[i].due);
        memcpy(strstr(round, "open"), "tied", 4);
        assert_int_equal(agent_ballot_due(&voter, slice_str(round)), BALLOT_DUE_NOTHING);
        free(round);
    }
}

/* Frozen here: a commitment is checked by programs that know docs/certificates.md alone. */
static void a_commitment_hashes_the_ballot_as_documented_and_the_nonce(void **state)
{
    static const char text[] =
        "waggle-commit-1\n3:r-1,64:" DIGEST ",3:bee,4:0.25,6:choice,2:no,16:0123456789abcdef,";
    uint8_t hash[SHA256_BYTES];
    char hex[SHA256_HEX + 1], want[200];
    struct slice part = slice_str(text);
    const double confidence = 0.25;
    struct agent_voter voter = {.id = "bee", .how = "sh", .confidence = &confidence};
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    char *round = round_text("majority", "[\"yes\",\"no\"]", SEAT), why[256];
    (void)state;
    digest_sha256(hash, &part, 1);
    hex_put(hex, slice_of(hash, sizeof hash));
    snprintf(want, sizeof want, "{\"round_id\":\"r-1\",\"voter\":\"bee\",\"commitment\":\"%s\"}",
             hex);
    json_begin(&o, '{');
    assert_true(agent_ballot_put_commitment(&o, &voter, slice_str(round), slice_str("no\n"),
                                            slice_str("0123456789abcdef"), why, sizeof why));
    json_end(&o, '}');
    assert_string_equal(buf_text(&b), want);
    free(round);
    buf_done(&b);
}

static void a_key_is_made_once_for_its_owner_alone_and_read_again(void **state)
{
    char dir[] = "/tmp/waggle-key-XXXXXX", path[64], why[256];
    struct signing *made, *again;
    struct stat about;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/bee.key", dir);
    assert_true(agent_key_open(path, &made, why, sizeof why));
    assert_true(agent_key_open(path, &again, why, sizeof why));
    assert_memory_equal(signing_public(made), signing_public(again), SIGNING_PUBLIC_BYTES);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(about.st_nlink, 1);
    signing_unref(made);
    signing_unref(again);

    assert_int_equal(chmod(path, 0640), 0);
    assert_false(agent_key_open(path, &again, why, sizeof why));
    assert_non_null(strstr(why, "may be read by others"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 20), 0);
    assert_false(agent_key_open(path, &again, why, sizeof why));
    assert_non_null(strstr(why, "is no key"));
    assert_int_equal(unlink(path), 0);
    assert_false(agent_key_open("/nowhere/at/all", &again, why, sizeof why));
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commands_words_are_a_ballot_of_the_rounds_kind),
        cmocka_unit_test(words_that_are_no_option_are_no_ballot),
        cmocka_unit_test(a_signature_fits_the_vote_and_the_key_and_no_other),
        cmocka_unit_test(a_round_that_does_not_know_the_key_gets_no_signature),
        cmocka_unit_test(chance_is_the_same_when_it_is_asked_again_and_reaches_every_option),
        cmocka_unit_test(what_is_due_follows_from_the_round_its_phase_and_the_seat),
        cmocka_unit_test(a_commitment_hashes_the_ballot_as_documented_and_the_nonce),
        cmocka_unit_test(a_key_is_made_once_for_its_owner_alone_and_read_again),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
