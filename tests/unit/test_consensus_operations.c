/* Rounds of voting, from the request to the answer. */
#include "tests/unit/api_fixture.h"

#include "auth/base64url.h"
#include "channels/json_scan.h"

enum { BEES = 5 };

struct test {
    struct fixture *f;
    struct principal *boss, *stranger, *bee[BEES];
    struct signing *keys[BEES]; /* agents' own */
    char round[ROUND_ID_CHARS + 1];
};
static struct test t;

static const char *const names[BEES] = {"bee-0", "bee-1", "bee-2", "bee-3", "bee-4"};

static void bees_register(void)
{
    for (unsigned i = 0; i < BEES; i++) {
        struct buf body = {0}, key = {0};
        uint8_t seed[SIGNING_SEED_BYTES] = {(uint8_t)(i + 1)};
        t.keys[i] = signing_of(seed, 0);
        base64url_put(&key, slice_of(signing_public(t.keys[i]), SIGNING_PUBLIC_BYTES));
        buf_printf(&body, "{\"agent_id\":\"%s\",\"agent_type\":\"worker\",\"public_key\":\"%.*s\"}",
                   names[i], (int)key.n, (const char *)key.p);
        buf_add(&body, "", 1);
        assert_int_equal(
            request(t.f, t.bee[i], METHOD_POST, "/agents/register", (const char *)body.p), HUB_OK);
        buf_done(&body);
        buf_done(&key);
    }
}

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    t.f = fixture_open(*state);
    t.boss = person(ROLE_ADMIN, "boss");
    t.stranger = person(ROLE_AGENT, "stranger");
    for (unsigned i = 0; i < BEES; i++) {
        t.bee[i] = person(ROLE_AGENT, names[i]);
    }
    bees_register();
    return 0;
}

static int teardown(void **state)
{
    fixture_close(t.f);
    principal_unref(t.boss);
    principal_unref(t.stranger);
    for (unsigned i = 0; i < BEES; i++) {
        principal_unref(t.bee[i]);
        signing_unref(t.keys[i]);
    }
    return scratch_remove(state);
}

/* Single quotes for double ones, and a text that the caller need not free. */
static const char *quoted(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *quoted(const char *format, ...)
{
    static char texts[4][4096];
    static unsigned n;
    char *text = texts[n++ % 4];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    return text;
}

static enum hub_rc try_open(const struct principal *who, const char *rest)
{
    return request(t.f, who, METHOD_POST, "/api/v1/consensus",
                   quoted("{'question':'Ship it?'%s}", rest));
}

static const char all_bees[] = ",'electorate':['bee-0','bee-1','bee-2','bee-3','bee-4']";

static void open_round(const char *rest)
{
    char body[2048];
    (void)snprintf(body, sizeof body, "%s%s", strstr(rest, "electorate") ? "" : all_bees, rest);
    assert_int_equal(try_open(t.boss, body), HUB_OK);
    (void)snprintf(t.round, sizeof t.round, "%s", text(t.f, "round_id"));
}

static enum hub_rc vote_as(const struct principal *who, const char *body)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s/votes", t.round);
    return request(t.f, who, METHOD_POST, path, quoted("%s", body));
}

static enum hub_rc vote(unsigned bee, const char *choice)
{
    return vote_as(t.bee[bee], quoted("{'choice':'%s'}", choice));
}

static enum hub_rc show(const struct principal *who)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s", t.round);
    return request(t.f, who, METHOD_GET, path, NULL);
}

static void expect_closed(const char *status, const char *stop)
{
    assert_int_equal(show(t.boss), HUB_OK);
    assert_string_equal(text(t.f, "status"), status);
    assert_string_equal(text(t.f, "stop_reason"), stop);
}

static void time_passes(int64_t ms)
{
    t.f->now_ms += ms;
    fixture_turn(t.f);
}

/* ---- life ---- */

static void a_round_with_all_votes_is_decided(void **state)
{
    (void)state;
    open_round(",'options':['a','b'],'reference':'task-7'");
    assert_string_equal(text(t.f, "status"), "open");
    assert_string_equal(text(t.f, "rule"), "majority");
    assert_int_equal(vote(0, "a"), HUB_OK);
    assert_string_equal(text(t.f, "ballot"), "taken");
    assert_int_equal(vote(1, "a"), HUB_OK);
    assert_int_equal(vote(2, "b"), HUB_OK);
    assert_int_equal(vote(3, "a"), HUB_OK);
    assert_string_equal(text(t.f, "round_status"), "open");
    assert_int_equal(vote(4, "a"), HUB_OK);
    assert_string_equal(text(t.f, "round_status"), "decided");
    expect_closed("decided", "all_voted");
    assert_string_equal(text(t.f, "winner"), "a");
    assert_string_equal(text(t.f, "outcome/winner"), "a");
    assert_string_equal(text(t.f, "outcome/dissent/0"), "bee-2");
    assert_true(json_number_value(member(t.f, "confidence_score")) == 0.8);
    assert_int_equal(json_array_size(member(t.f, "ballots")), 5);
}

static void ballots_are_sealed_until_the_round_is_closed(void **state)
{
    (void)state;
    open_round("");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(show(t.bee[1]), HUB_OK);
    assert_true(json_is_null(member(t.f, "ballots")));
    assert_true(json_is_true(member(t.f, "electorate/0/voted")));
    assert_false(json_is_true(member(t.f, "electorate/1/voted")));
    open_round(",'visibility':'open'");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(show(t.bee[1]), HUB_OK);
    assert_string_equal(text(t.f, "ballots/0/choice"), "yes");
}

static void the_deadline_closes_a_round_with_what_there_is(void **state)
{
    (void)state;
    open_round(",'timeout_seconds':10");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(vote(i, "no"), HUB_OK);
    }
    time_passes(9999);
    expect_closed("open", "(none)");
    time_passes(1);
    expect_closed("decided", "deadline");
    open_round(",'timeout_seconds':10");
    assert_int_equal(vote(0, "no"), HUB_OK);
    time_passes(10000);
    expect_closed("no_quorum", "deadline");
    assert_true(json_number_value(member(t.f, "confidence_score")) == 0);
}

static void early_close_waits_until_nothing_can_change(void **state)
{
    (void)state;
    open_round(",'early_close':true");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(vote(1, "yes"), HUB_OK);
    assert_string_equal(text(t.f, "round_status"), "open");
    assert_int_equal(vote(2, "yes"), HUB_OK);
    assert_string_equal(text(t.f, "round_status"), "decided");
    expect_closed("decided", "settled");
    open_round(",'early_close':true,'revote':true");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(vote(i, "yes"), HUB_OK);
    }
    assert_string_equal(text(t.f, "round_status"), "open");
}

/* ---- twice, late, not at all ---- */

static void the_same_ballot_again_changes_nothing(void **state)
{
    (void)state;
    open_round("");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_string_equal(text(t.f, "ballot"), "unchanged");
    assert_int_equal(json_integer_value(member(t.f, "version")), 1);
    assert_int_equal(vote(0, "no"), HUB_ALREADY_VOTED);
    assert_int_equal(hub_error(HUB_ALREADY_VOTED)->status, 409);
    assert_int_equal(show(t.boss), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "voted")), 1);
}

static void a_ballot_may_be_changed_where_the_round_says_so(void **state)
{
    (void)state;
    open_round(",'revote':true,'electorate':['bee-0','bee-1']");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(vote(0, "no"), HUB_OK);
    assert_string_equal(text(t.f, "ballot"), "replaced");
    assert_int_equal(json_integer_value(member(t.f, "version")), 2);
    assert_int_equal(vote(1, "no"), HUB_OK);
    expect_closed("decided", "all_voted");
    assert_string_equal(text(t.f, "winner"), "no");
    assert_string_equal(text(t.f, "ballots/0/status"), "replaced");
    assert_string_equal(text(t.f, "ballots/1/status"), "counted");
    assert_int_equal(json_integer_value(member(t.f, "outcome/turnout/ballots")), 2);
}

static void a_late_ballot_is_kept_and_not_counted(void **state)
{
    (void)state;
    open_round(",'timeout_seconds':1");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(vote(i, "yes"), HUB_OK);
    }
    time_passes(1000);
    assert_int_equal(vote(3, "no"), HUB_ROUND_CLOSED);
    assert_int_equal(hub_error(HUB_ROUND_CLOSED)->status, 410);
    assert_int_equal(vote(3, "no"), HUB_ROUND_CLOSED);
    assert_int_equal(vote(0, "yes"), HUB_OK); /* its answer may have been lost */
    expect_closed("decided", "deadline");
    assert_int_equal(json_array_size(member(t.f, "ballots")), 4);
    assert_string_equal(text(t.f, "ballots/3/status"), "late");
    assert_int_equal(json_integer_value(member(t.f, "outcome/turnout/ballots")), 3);
}

static void who_has_no_seat_is_told_so_or_nothing(void **state)
{
    (void)state;
    open_round(",'electorate':['bee-0','bee-1']");
    assert_int_equal(vote(2, "yes"), HUB_NOT_ELIGIBLE);
    assert_int_equal(hub_error(HUB_NOT_ELIGIBLE)->status, 403);
    assert_int_equal(vote_as(t.stranger, "{'choice':'yes'}"), HUB_NOT_FOUND);
    assert_int_equal(vote_as(t.stranger, "{'voter':'bee-0','choice':'yes'}"), HUB_NOT_FOUND);
    assert_int_equal(vote_as(t.bee[1], "{'voter':'bee-0','choice':'yes'}"), HUB_FORBIDDEN);
    assert_int_equal(vote_as(t.boss, "{'voter':'bee-0','choice':'yes'}"), HUB_OK);
    assert_int_equal(show(t.stranger), HUB_NOT_FOUND);
    assert_int_equal(show(t.bee[2]), HUB_NOT_FOUND);
    assert_int_equal(show(t.bee[0]), HUB_OK);
    assert_int_equal(request(t.f, t.stranger, METHOD_GET, "/api/v1/consensus", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "rounds")), 0);
    assert_int_equal(request(t.f, t.bee[0], METHOD_GET, "/api/v1/consensus", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "rounds")), 1);
}

static void a_member_that_leaves_keeps_its_seat(void **state)
{
    (void)state;
    open_round("");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(request(t.f, t.bee[0], METHOD_DELETE, "/agents/bee-0", NULL), HUB_OK);
    assert_int_equal(request(t.f, t.bee[1], METHOD_DELETE, "/agents/bee-1", NULL), HUB_OK);
    assert_int_equal(vote(1, "yes"), HUB_OK);
    assert_int_equal(show(t.boss), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "seats")), 5);
    assert_int_equal(json_integer_value(member(t.f, "voted")), 2);
}

static void cancelling_is_for_who_opened_it(void **state)
{
    (void)state;
    char path[128];
    open_round("");
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s/cancel", t.round);
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(request(t.f, t.bee[0], METHOD_POST, path, NULL), HUB_FORBIDDEN);
    assert_int_equal(request(t.f, t.stranger, METHOD_POST, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, path, NULL), HUB_OK);
    assert_string_equal(text(t.f, "status"), "cancelled");
    assert_true(json_is_null(member(t.f, "ballots"))); /* sealed for good */
    assert_int_equal(request(t.f, t.boss, METHOD_POST, path, NULL), HUB_CONFLICT);
    assert_int_equal(vote(1, "yes"), HUB_ROUND_CLOSED);
    time_passes(400000);
    expect_closed("cancelled", "cancelled");
}

/* ---- ties ---- */

static void a_tie_goes_to_one_runoff_of_the_tied(void **state)
{
    (void)state;
    char first[ROUND_ID_CHARS + 1];
    open_round(",'rule':'plurality','options':['a','b','c']");
    assert_int_equal(vote(0, "a"), HUB_OK);
    assert_int_equal(vote(1, "c"), HUB_OK);
    assert_int_equal(vote(2, "c"), HUB_OK);
    assert_int_equal(vote(3, "a"), HUB_OK);
    time_passes(200000);
    assert_int_equal(vote(4, "b"), HUB_OK);
    expect_closed("tied", "all_voted");
    (void)snprintf(first, sizeof first, "%s", t.round);
    (void)snprintf(t.round, sizeof t.round, "%s", text(t.f, "runoff"));
    assert_int_equal(show(t.boss), HUB_OK);
    assert_string_equal(text(t.f, "runoff_of"), first);
    assert_int_equal(json_array_size(member(t.f, "options")), 2);
    assert_string_equal(text(t.f, "options/1"), "c");
    assert_int_equal(vote(0, "b"), HUB_INVALID); /* out of the running */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(vote(i, i % 2 ? "a" : "c"), HUB_OK);
    }
    time_passes(299999); /* it has the whole time again */
    assert_int_equal(show(t.boss), HUB_OK);
    assert_string_equal(text(t.f, "status"), "open");
    time_passes(1);
    expect_closed("tied", "deadline");
    assert_true(json_is_null(member(t.f, "runoff"))); /* no second one */
}

static void the_chair_breaks_a_tie(void **state)
{
    (void)state;
    open_round(",'tie':'chair','chair':'bee-1','electorate':['bee-0','bee-1']");
    assert_int_equal(vote(0, "yes"), HUB_OK);
    assert_int_equal(vote(1, "no"), HUB_OK);
    expect_closed("decided", "all_voted");
    assert_string_equal(text(t.f, "winner"), "no");
    assert_true(json_is_true(member(t.f, "outcome/by_tie_policy")));
}

/* ---- what is refused ---- */

static void a_round_that_cannot_be_is_refused_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *field;
    } wrong[] = {
        {",'electorate':[]", "electorate"},
        {",'electorate':['a','a']", "electorate"},
        {",'electorate':[{'id':'a','weight':0}]", "electorate"},
        {",'electorate':[{'id':'a','weight':-1}]", "electorate"},
        {",'electorate':['a'],'timeout_seconds':0", "timeout_seconds"},
        {",'electorate':['a'],'timeout_seconds':0.0001", "timeout_seconds"},
        {",'electorate':['a'],'options':['x','x']", "options"},
        {",'electorate':['a'],'options':[]", "options"},
        {",'electorate':['a'],'rule':'dictator'", "rule"},
        {",'electorate':['a'],'tie':'coin'", "tie"},
        {",'electorate':['a'],'tie':'chair'", "chair"},
        {",'electorate':['a'],'tie':'chair','chair':'b'", "chair"},
        {",'electorate':['a'],'threshold':0.4", "threshold"},
        {",'electorate':['a'],'threshold':'3/2'", "threshold"},
        {",'electorate':['a'],'quorum':2", "quorum"},
        {",'electorate':['a'],'commit_seconds':300", "commit_seconds"},
        {",'electorate':['a'],'commit_seconds':9,'revote':true", "revote"},
        {",'electorate':['a'],'commit_seconds':9,'early_close':true", "early_close"},
        {",'electorate':['a'],'rule':'score_mean','options':['x']", "options"},
        {",'electorate':['a','b','c'],'rule':'bft'", "electorate"},
        {",'electorate':['a','b','c','d'],'rule':'bft'", "electorate"}, /* no keys */
        {"", "electorate"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum hub_rc rc = try_open(t.boss, wrong[i].rest);
        struct buf said = {0};
        buf_printf(&said, "%s %.*s", message(t.f), (int)t.f->detail.n, (const char *)t.f->detail.p);
        buf_add(&said, "", 1);
        if (rc != HUB_INVALID || !strstr((const char *)said.p, wrong[i].field)) {
            fail_msg("%s: %s", wrong[i].rest, (const char *)said.p);
        }
        buf_done(&said);
    }
}

static void a_ballot_that_does_not_fit_is_refused_by_field(void **state)
{
    (void)state;
    open_round(",'rule':'borda','options':['a','b','c']");
    assert_int_equal(vote_as(t.bee[0], "{'ranking':['a','x']}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'ranking':['a','a']}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'score':3}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'ranking':['c'],'confidence':1.5}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'ranking':['c'],'signature':'AAAA'}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'ranking':['c','a']}"), HUB_OK);
    open_round(",'rule':'score_median'");
    assert_int_equal(vote_as(t.bee[0], "{'choice':'a'}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'score':1e9}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'score':-2.5}"), HUB_OK);
    assert_int_equal(vote_as(t.bee[1], "{'abstain':true}"), HUB_OK);
}

/* A member that names an option is never counted as one that abstains, nor the other way round. */
static void a_ballot_says_one_thing(void **state)
{
    (void)state;
    open_round(",'rule':'plurality'");
    assert_int_equal(vote_as(t.bee[0], "{'choice':'yes','abstain':true}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'choice':'yes','ranking':['no','yes']}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'choices':['yes'],'score':1}"), HUB_INVALID);
    assert_int_equal(vote_as(t.bee[0], "{'choice':'yes','choices':[],'ranking':null,'score':null,"
                                       "'abstain':false}"),
                     HUB_OK);
}

static void opening_twice_under_one_key_opens_one_round(void **state)
{
    (void)state;
    const char *body = quoted("{'question':'q'%s}", all_bees);
    assert_int_equal(request_keyed(t.f, t.boss, METHOD_POST, "/api/v1/consensus", body, "k1"),
                     HUB_OK);
    char first[64];
    (void)snprintf(first, sizeof first, "%s", text(t.f, "round_id"));
    assert_int_equal(request_keyed(t.f, t.boss, METHOD_POST, "/api/v1/consensus", body, "k1"),
                     HUB_OK);
    assert_true(t.f->replayed);
    assert_string_equal(text(t.f, "round_id"), first);
}

/* ---- signed ---- */

/* What an agent's program does: the digest of the round, netstrings, its own key. */
static const char *sign(unsigned bee, const char *choice)
{
    static char out[128];
    struct buf message = {0}, key = {0};
    uint8_t signature[SIGNATURE_BYTES];
    char digest[SHA256_HEX + 1];
    assert_int_equal(show(t.boss), HUB_OK);
    (void)snprintf(digest, sizeof digest, "%s", text(t.f, "digest"));
    buf_printf(&message, "36:%s,64:%s,%zu:%s,0:,6:choice,%zu:%s,", t.round, digest,
               strlen(names[bee]), names[bee], strlen(choice), choice);
    signing_sign(t.keys[bee], BALLOT_PURPOSE, buf_slice(&message), signature);
    base64url_put(&key, slice_of(signature, sizeof signature));
    (void)snprintf(out, sizeof out, "%.*s", (int)key.n, (const char *)key.p);
    buf_done(&message);
    buf_done(&key);
    return out;
}

static enum hub_rc vote_signed(unsigned bee, const char *choice)
{
    const char *signature = sign(bee, choice);
    return vote_as(t.bee[bee], quoted("{'choice':'%s','signature':'%s'}", choice, signature));
}

static void a_signature_covers_the_voter_the_choice_and_the_round(void **state)
{
    (void)state;
    open_round(",'signed':true");
    assert_int_equal(vote(0, "yes"), HUB_INVALID); /* not signed */
    const char *of_yes = sign(0, "yes");
    assert_int_equal(vote_as(t.bee[0], quoted("{'choice':'no','signature':'%s'}", of_yes)),
                     HUB_INVALID);
    assert_int_equal(vote_as(t.bee[1], quoted("{'choice':'yes','signature':'%s'}", of_yes)),
                     HUB_INVALID);
    open_round(",'signed':true");
    assert_int_equal(vote_as(t.bee[0], quoted("{'choice':'yes','signature':'%s'}", of_yes)),
                     HUB_INVALID);
    assert_int_equal(vote_signed(0, "yes"), HUB_OK);
}

static void bft_voids_the_seat_that_votes_twice(void **state)
{
    (void)state;
    open_round(",'rule':'bft','quorum':0");
    assert_int_equal(vote_signed(0, "no"), HUB_OK);
    assert_int_equal(vote_signed(0, "yes"), HUB_OK);
    assert_true(json_is_true(member(t.f, "equivocation")));
    assert_int_equal(vote_signed(0, "no"), HUB_OK);
    assert_string_equal(text(t.f, "ballot"), "voided");
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(vote_signed(i, "yes"), HUB_OK);
    }
    expect_closed("decided", "all_voted");
    assert_string_equal(text(t.f, "winner"), "yes");
    assert_int_equal(json_integer_value(member(t.f, "voided")), 1);
    assert_int_equal(json_array_size(member(t.f, "ballots")), 6);
    assert_string_equal(text(t.f, "ballots/0/status"), "voided");
    assert_string_equal(text(t.f, "ballots/1/status"), "voided");
    assert_int_equal(json_integer_value(member(t.f, "voted_weight")), 4);
}

/* ---- certificates ---- */

static bool trust_own(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    char kid[SIGNING_KID_CHARS + 1];
    (void)ctx;
    signature_kid(public_key, kid);
    return signing_find(atomic_load(&t.f->hub.signing), slice_str(kid), t.f->now_ms) != NULL;
}

static bool verify(struct slice document, char *why, size_t why_n)
{
    struct paper paper;
    bool good = certificate_verify(document, trust_own, NULL, &paper, why, why_n);
    paper_done(&paper);
    return good;
}

static void take_certificate(struct buf *out)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s/certificate", t.round);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_OK);
    buf_add_slice(out, buf_slice(&t.f->out));
}

/* Not the first of the two either, though it would have been the fourth of four. */
static void neither_ballot_of_a_voided_seat_decides(void **state)
{
    (void)state;
    open_round(",'rule':'bft'");
    assert_int_equal(vote_signed(0, "yes"), HUB_OK);
    assert_int_equal(vote_signed(0, "no"), HUB_OK);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(vote_signed(i, i < 4 ? "yes" : "no"), HUB_OK);
    }
    expect_closed("no_decision", "all_voted");
    struct buf document = {0};
    char why[256] = "";
    take_certificate(&document);
    assert_true(verify(buf_slice(&document), why, sizeof why));
    buf_done(&document);
}

static void decided_round(void)
{
    open_round(",'options':['a','b'],'signed':true,'timeout_seconds':5");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(vote_signed(i, i == 1 ? "b" : "a"), HUB_OK);
    }
    time_passes(5000);
    expect_closed("decided", "deadline");
}

static void a_certificate_of_each_rule_verifies(void **state)
{
    (void)state;
    static const struct {
        const char *terms, *ballots[3];
    } rounds[] = {
        {"'rule':'plurality'", {"'choice':'yes'", "'choice':'no'", "'choice':'no'"}},
        {"'rule':'supermajority','of':'eligible'",
         {"'choice':'yes'", "'choice':'yes','confidence':0.25", "'abstain':true"}},
        {"'rule':'approval','options':['a','b','c']",
         {"'choices':['c','a']", "'choices':['a']", "'choice':'b'"}},
        {"'rule':'irv','options':['a','b','c']",
         {"'ranking':['c','a']", "'ranking':['a','b','c']", "'ranking':['b']"}},
        {"'rule':'condorcet','options':['a','b','c'],'tie':'seeded_random'",
         {"'ranking':['a','b','c']", "'ranking':['b','c','a']", "'ranking':['c','a','b']"}},
        {"'rule':'score_mean'",
         {"'score':1.25,'reason':'a \\\"guess\\\"'", "'score':-3", "'score':100.001"}},
        {"'rule':'confidence_weighted'",
         {"'choice':'yes','confidence':0.1", "'choice':'no'", "'choice':'yes'"}},
        {"'rule':'majority','tie':'none','options':['\\u00fc\\n','b']",
         {"'choice':'b'", "'choice':'\\u00fc\\n'", "'abstain':true"}},
    };
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        char why[256] = "", rest[512];
        struct buf document = {0};
        (void)snprintf(rest, sizeof rest, ",'electorate':['bee-0','bee-1','bee-2'],%s",
                       rounds[i].terms);
        open_round(rest);
        for (unsigned b = 0; b < 3; b++) {
            assert_int_equal(vote_as(t.bee[b], quoted("{%s}", rounds[i].ballots[b])), HUB_OK);
        }
        take_certificate(&document);
        if (!verify(buf_slice(&document), why, sizeof why)) {
            fail_msg("%s: %s", rounds[i].terms, why);
        }
        buf_done(&document);
    }
}

/* Every bit of every byte, of question, electorate, ballots, outcome and all the rest. */
static void no_byte_of_a_certificate_can_be_changed(void **state)
{
    (void)state;
    struct buf document = {0};
    char why[256];
    decided_round();
    take_certificate(&document);
    assert_true(verify(buf_slice(&document), why, sizeof why));
    for (size_t i = 0; i < document.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            document.p[i] ^= (uint8_t)(1u << bit);
            if (verify(buf_slice(&document), why, sizeof why)) {
                fail_msg("bit %u of byte %zu: '%.*s'", bit, i, 20, (const char *)document.p + i);
            }
            document.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(verify(buf_slice(&document), why, sizeof why));
    buf_done(&document);
}

/* A document whose certificate was edited and signed again with the hub's own key. */
static void forge(const struct buf *document, const char *from, const char *to, struct buf *out)
{
    static const char *const fields[] = {"certificate"};
    const struct signing *keys = atomic_load(&t.f->hub.signing);
    struct slice body;
    struct buf edited = {0}, key = {0}, signature_text = {0};
    uint8_t signature[SIGNATURE_BYTES];
    size_t at;
    assert_int_equal(json_fields(buf_slice(document), fields, 1, &body, &at), JSON_OK);
    const uint8_t *found = memmem(body.p, body.n, from, strlen(from));
    assert_non_null(found);
    buf_add(&edited, body.p, (size_t)(found - body.p));
    buf_add_str(&edited, to);
    const uint8_t *rest = found + strlen(from);
    buf_add(&edited, rest, (size_t)(body.p + body.n - rest));
    signing_sign(keys, CERTIFICATE_PURPOSE, buf_slice(&edited), signature);
    base64url_put(&signature_text, slice_of(signature, sizeof signature));
    base64url_put(&key, slice_of(signing_public(keys), SIGNING_PUBLIC_BYTES));
    buf_clear(out);
    buf_printf(
        out, "{\"certificate\":%.*s,\"kid\":\"%s\",\"public_key\":\"%.*s\",\"signature\":\"%.*s\"}",
        (int)edited.n, (const char *)edited.p, signing_kid(keys), (int)key.n, (const char *)key.p,
        (int)signature_text.n, (const char *)signature_text.p);
    buf_done(&edited);
    buf_done(&key);
    buf_done(&signature_text);
}

/* Even the hub itself cannot say otherwise than the ballots and their voters. */
static void a_hub_that_lies_is_found_out(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *why;
    } lies[] = {
        {"\"winner\":\"a\"", "\"winner\":\"b\"", "outcome"},
        {"\"confidence_score\":0.6", "\"confidence_score\":0.9", "outcome"},
        {"\"voter\":\"bee-1\",\"choice\":\"b\"", "\"voter\":\"bee-1\",\"choice\":\"a\"", "outcome"},
        {"\"question\":\"Ship it?\"", "\"question\":\"Sink it?\"", "digest"},
        {"\"id\":\"bee-4\",\"weight\":1", "\"id\":\"bee-4\",\"weight\":2", "digest"},
        {"\"id\":\"bee-4\"", "\"id\":\"bee-3\"", "twice"},
        {"\"status\":\"decided\"", "\"status\":\"tied\"", "count"},
        {"\"version\":1,", "\"version\":1,\"note\":\"x\",", "digest"},
    };
    struct buf document = {0}, forged = {0};
    char why[256];
    decided_round();
    take_certificate(&document);
    forge(&document, "", "", &forged);
    assert_true(verify(buf_slice(&forged), why, sizeof why));
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        forge(&document, lies[i].from, lies[i].to, &forged);
        assert_false(verify(buf_slice(&forged), why, sizeof why));
        if (i != 7 && !strstr(why, lies[i].why)) {
            fail_msg("%s: %s", lies[i].to, why);
        }
    }
    /* Nor that somebody voted who did not: the voter's own signature is asked. */
    char right[24], wrong[24];
    const uint8_t *found = memmem(document.p, document.n, "\"signature\":\"", 13);
    assert_non_null(found);
    (void)snprintf(right, sizeof right, "%.*s", 20, (const char *)found);
    (void)snprintf(wrong, sizeof wrong, "%s", right);
    wrong[19] = wrong[19] == 'A' ? 'B' : 'A';
    forge(&document, right, wrong, &forged);
    assert_false(verify(buf_slice(&forged), why, sizeof why));
    assert_non_null(strstr(why, "does not fit its ballot"));
    buf_done(&document);
    buf_done(&forged);
}

/* ---- commitments ---- */

/* What an agent's program does: the words that it would sign, and a nonce of its own. */
static void commitment_of(unsigned bee, const char *words, const char *nonce,
                          char hex[SHA256_HEX + 1])
{
    struct buf text_of = {0};
    uint8_t hash[SHA256_BYTES];
    char digest[SHA256_HEX + 1];
    assert_int_equal(show(t.boss), HUB_OK);
    (void)snprintf(digest, sizeof digest, "%s", text(t.f, "digest"));
    buf_printf(&text_of, "waggle-commit-1\n36:%s,64:%s,%zu:%s,0:,%s%zu:%s,", t.round, digest,
               strlen(names[bee]), names[bee], words, strlen(nonce), nonce);
    struct slice part = buf_slice(&text_of);
    digest_sha256(hash, &part, 1);
    hex_put(hex, slice_of(hash, sizeof hash));
    buf_done(&text_of);
}

static enum hub_rc send_commitment(unsigned bee, const char *hex)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s/commitments", t.round);
    return request(t.f, t.bee[bee], METHOD_POST, path, quoted("{'commitment':'%s'}", hex));
}

static enum hub_rc commit(unsigned bee, const char *words, const char *nonce)
{
    char hex[SHA256_HEX + 1];
    commitment_of(bee, words, nonce, hex);
    return send_commitment(bee, hex);
}

static enum hub_rc commit_choice(unsigned bee, const char *choice, const char *nonce)
{
    char words[64];
    (void)snprintf(words, sizeof words, "6:choice,%zu:%s,", strlen(choice), choice);
    return commit(bee, words, nonce);
}

static enum hub_rc reveal(unsigned bee, const char *choice, const char *nonce)
{
    return vote_as(t.bee[bee], quoted("{'choice':'%s','nonce':'%s'}", choice, nonce));
}

static const char some_nonce[] = "nobody guesses this", other_nonce[] = "nor would they this";

/* It is the time that ends committing, not whether its timer has come yet. */
static void no_commitment_comes_after_its_time(void **state)
{
    (void)state;
    open_round(",'options':['a','b'],'commit_seconds':60,'timeout_seconds':120");
    assert_int_equal(commit_choice(0, "a", some_nonce), HUB_OK);
    t.f->now_ms += 59999;
    assert_int_equal(commit_choice(1, "a", some_nonce), HUB_OK);
    char hex[SHA256_HEX + 1];
    commitment_of(2, "6:choice,1:a,", some_nonce, hex);
    t.f->now_ms += 1; /* in one batch with the timer, and before it */
    assert_int_equal(send_commitment(2, hex), HUB_CONFLICT);
}

static void ballots_are_committed_to_first_and_shown_later(void **state)
{
    (void)state;
    open_round(",'options':['a','b'],'commit_seconds':60,'timeout_seconds':120");
    assert_string_equal(text(t.f, "phase"), "commit");
    assert_int_equal(reveal(0, "a", some_nonce), HUB_CONFLICT);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(commit_choice(i, i == 1 ? "b" : "a", some_nonce), HUB_OK);
        assert_string_equal(text(t.f, "commitment"), "taken");
    }
    assert_int_equal(commit_choice(0, "a", some_nonce), HUB_OK);
    assert_string_equal(text(t.f, "commitment"), "unchanged");
    assert_int_equal(commit_choice(0, "b", some_nonce), HUB_ALREADY_VOTED);
    assert_int_equal(show(t.boss), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "committed")), 4);
    assert_int_equal(json_integer_value(member(t.f, "voted")), 0);
    time_passes(60000);
    assert_int_equal(show(t.boss), HUB_OK);
    assert_string_equal(text(t.f, "phase"), "reveal");
    assert_int_equal(commit_choice(4, "a", some_nonce), HUB_CONFLICT);
    assert_int_equal(reveal(4, "a", some_nonce), HUB_NOT_ELIGIBLE);
    assert_int_equal(reveal(0, "b", some_nonce), HUB_INVALID);
    assert_int_equal(reveal(0, "a", other_nonce), HUB_INVALID);
    assert_non_null(strstr(message(t.f), "nonce: "));
    assert_int_equal(vote(0, "a"), HUB_INVALID);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(reveal(i, i == 1 ? "b" : "a", some_nonce), HUB_OK);
    }
    assert_int_equal(reveal(0, "a", some_nonce), HUB_OK);
    assert_string_equal(text(t.f, "ballot"), "unchanged");
    time_passes(60000);
    expect_closed("decided", "deadline");
    assert_string_equal(text(t.f, "winner"), "a");
    assert_int_equal(json_array_size(member(t.f, "outcome/unrevealed")), 1);
    assert_string_equal(text(t.f, "outcome/unrevealed/0"), "bee-3");
    assert_int_equal(json_integer_value(member(t.f, "outcome/turnout/ballots")), 3);
}

static void when_all_have_committed_ballots_are_shown_at_once(void **state)
{
    (void)state;
    open_round(",'commit_seconds':60,'timeout_seconds':120");
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(commit_choice(i, "yes", some_nonce), HUB_OK);
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(reveal(i, "yes", some_nonce), HUB_OK);
    }
    expect_closed("decided", "all_voted");
    open_round(",'commit_seconds':60,'timeout_seconds':120");
    time_passes(60000); /* nobody has: there is nothing to wait for */
    expect_closed("no_quorum", "deadline");
}

/* Who may have voted how is drawn; who shows it, and in which order, too. The same ballots without
 * commitments come out the same. */
static unsigned drawn(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

struct profile {
    const char *choice[BEES];
    bool commits[BEES], shows[BEES];
    unsigned order[BEES];
};

static void draw_profile(unsigned *seed, struct profile *p)
{
    static const char *const options[] = {"a", "b", "c"};
    for (unsigned i = 0; i < BEES; i++) {
        p->choice[i] = options[drawn(seed, 3)];
        p->commits[i] = drawn(seed, 10) < 8;
        p->shows[i] = p->commits[i] && drawn(seed, 10) < 8;
        p->order[i] = i;
    }
    for (unsigned i = BEES - 1; i > 0; i--) {
        unsigned j = drawn(seed, i + 1), swap = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = swap;
    }
}

static void cast_committed(const struct profile *p)
{
    for (unsigned i = 0; i < BEES; i++) {
        unsigned bee = p->order[i];
        if (p->commits[bee]) {
            assert_int_equal(commit_choice(bee, p->choice[bee], some_nonce), HUB_OK);
        }
    }
    time_passes(1000);
    for (unsigned i = BEES; i-- > 0;) {
        unsigned bee = p->order[i];
        if (p->shows[bee]) {
            assert_int_equal(reveal(bee, p->choice[bee], some_nonce), HUB_OK);
        }
    }
    time_passes(1000);
}

static void cast_plain(const struct profile *p)
{
    for (unsigned bee = 0; bee < BEES; bee++) {
        if (p->shows[bee]) {
            assert_int_equal(vote(bee, p->choice[bee]), HUB_OK);
        }
    }
    time_passes(2000);
}

static char *came_out(void)
{
    assert_int_equal(show(t.boss), HUB_OK);
    json_t *outcome = json_deep_copy(member(t.f, "outcome"));
    assert_non_null(outcome);
    json_object_del(outcome, "unrevealed");
    json_object_del(outcome, "stop_reason");
    char *dump = json_dumps(outcome, JSON_SORT_KEYS);
    json_decref(outcome);
    return dump;
}

static void commitments_change_nothing_of_how_ballots_come_out(void **state)
{
    (void)state;
    static const char *const rules[] = {"plurality", "majority", "supermajority", "unanimous"};
    unsigned seed = 20261127;
    print_message("seed %u\n", seed);
    for (unsigned n = 0; n < 40; n++) {
        struct profile p;
        char rest[256], why[256] = "";
        struct buf document = {0};
        draw_profile(&seed, &p);
        (void)snprintf(rest, sizeof rest,
                       ",'options':['a','b','c'],'rule':'%s','tie':'option_order',"
                       "'timeout_seconds':2%s",
                       rules[n % 4], ",'commit_seconds':1");
        open_round(rest);
        cast_committed(&p);
        char *committed = came_out();
        unsigned named = (unsigned)json_array_size(member(t.f, "outcome/unrevealed")), silent = 0;
        for (unsigned i = 0; i < BEES; i++) {
            silent += p.commits[i] && !p.shows[i];
        }
        assert_int_equal(named, silent);
        take_certificate(&document);
        if (!verify(buf_slice(&document), why, sizeof why)) {
            fail_msg("round %u: %s", n, why);
        }
        *strstr(rest, ",'commit_seconds'") = '\0';
        open_round(rest);
        cast_plain(&p);
        char *plain = came_out();
        assert_string_equal(committed, plain);
        free(committed);
        free(plain);
        buf_done(&document);
    }
}

static void committed_round(void)
{
    open_round(",'options':['a','b'],'signed':true,'commit_seconds':5,'timeout_seconds':9");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(commit_choice(i, i == 1 ? "b" : "a", some_nonce), HUB_OK);
    }
    time_passes(5000);
    for (unsigned i = 0; i < 3; i++) {
        const char *choice = i == 1 ? "b" : "a", *signature = sign(i, choice);
        assert_int_equal(vote_as(t.bee[i], quoted("{'choice':'%s','nonce':'%s','signature':'%s'}",
                                                  choice, some_nonce, signature)),
                         HUB_OK);
    }
    time_passes(4000);
    expect_closed("decided", "deadline");
}

static void no_byte_of_a_certificate_with_commitments_can_be_changed(void **state)
{
    (void)state;
    struct buf document = {0}, forged = {0};
    char why[256];
    committed_round();
    take_certificate(&document);
    assert_true(verify(buf_slice(&document), why, sizeof why));
    for (size_t i = 0; i < document.n; i++) {
        document.p[i] ^= 1;
        if (verify(buf_slice(&document), why, sizeof why)) {
            fail_msg("byte %zu: '%.*s'", i, 20, (const char *)document.p + i);
        }
        document.p[i] ^= 1;
    }
    /* Nor can the hub itself say that another nonce was committed, or that all was shown. */
    forge(&document, some_nonce, other_nonce, &forged);
    assert_false(verify(buf_slice(&forged), why, sizeof why));
    assert_non_null(strstr(why, "committed"));
    buf_clear(&forged);
    forge(&document, "\"unrevealed\":[\"bee-3\"]", "\"unrevealed\":[]", &forged);
    assert_false(verify(buf_slice(&forged), why, sizeof why));
    buf_done(&document);
    buf_done(&forged);
}

/* A row as it was before rounds could have commitments: the first version, without the fields that
 * were added at its end. */
static void age_row(struct store_txn *txn, enum store_table table, struct slice key, size_t added)
{
    struct slice row;
    struct buf old = {0};
    assert_int_equal(store_get(store_txn_view(txn), table, key, &row), STORE_OK);
    assert_true(row.n > added && (row.p[0] == 1 || row.p[0] == 2));
    buf_add(&old, row.p, row.n - (row.p[0] == 1 ? 0 : added)); /* it may be old already */
    old.p[0] = 1;
    assert_int_equal(store_put(txn, table, key, buf_slice(&old)), STORE_OK);
    buf_done(&old);
}

static void age_round(unsigned ballots_n)
{
    struct round round;
    struct store_txn *txn;
    uint8_t key[12];
    assert_int_equal(store_begin(t.f->hub.store, &txn), STORE_OK);
    assert_int_equal(round_find(store_txn_view(txn), t.boss->app, slice_str(t.round), &round),
                     STORE_OK);
    be32_put(key, round.number);
    key[4] = 't';
    age_row(txn, TABLE_ROUND, slice_of(key, 5), 8); /* when ballots are shown */
    key[4] = 's';
    age_row(txn, TABLE_ROUND, slice_of(key, 5), 4 + 1); /* how many committed; whether it reveals */
    for (uint32_t seat = 0; seat < ballots_n; seat++) {
        be32_put(key + 4, seat);
        be32_put(key + 8, 1);
        age_row(txn, TABLE_ROUND_BALLOT, slice_of(key, sizeof key), 4); /* no nonce */
    }
    assert_int_equal(store_commit(txn), STORE_OK);
}

static void a_round_stored_before_there_were_commitments_goes_on_as_it_was(void **state)
{
    (void)state;
    static const char first[] = "{\"version\":1,";
    struct buf before = {0}, document = {0};
    char why[256];
    open_round(",'options':['a','b'],'signed':true");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(vote_signed(i, "a"), HUB_OK);
    }
    assert_int_equal(show(t.boss), HUB_OK);
    buf_add_slice(&before, buf_slice(&t.f->out));
    age_round(2);
    assert_int_equal(show(t.boss), HUB_OK);
    assert_true(slice_equal(buf_slice(&t.f->out), buf_slice(&before)));
    assert_int_equal(commit_choice(4, "a", some_nonce), HUB_CONFLICT);
    assert_int_equal(vote_signed(0, "b"), HUB_ALREADY_VOTED);
    for (unsigned i = 2; i < BEES; i++) {
        assert_int_equal(vote_signed(i, "b"), HUB_OK);
    }
    expect_closed("decided", "all_voted");
    assert_string_equal(text(t.f, "winner"), "b");
    age_round(BEES); /* a closed one too */
    take_certificate(&document);
    assert_true(verify(buf_slice(&document), why, sizeof why));
    assert_non_null(memmem(document.p, document.n, first, strlen(first)));
    buf_done(&before);
    buf_done(&document);
}

static void an_open_round_has_no_certificate(void **state)
{
    (void)state;
    char path[128];
    open_round("");
    (void)snprintf(path, sizeof path, "/api/v1/consensus/%s/certificate", t.round);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_CONFLICT);
    assert_int_equal(request(t.f, t.stranger, METHOD_GET, path, NULL), HUB_NOT_FOUND);
}

#define consensus_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        consensus_test(a_round_with_all_votes_is_decided),
        consensus_test(ballots_are_sealed_until_the_round_is_closed),
        consensus_test(the_deadline_closes_a_round_with_what_there_is),
        consensus_test(early_close_waits_until_nothing_can_change),
        consensus_test(the_same_ballot_again_changes_nothing),
        consensus_test(a_ballot_may_be_changed_where_the_round_says_so),
        consensus_test(a_late_ballot_is_kept_and_not_counted),
        consensus_test(who_has_no_seat_is_told_so_or_nothing),
        consensus_test(a_member_that_leaves_keeps_its_seat),
        consensus_test(cancelling_is_for_who_opened_it),
        consensus_test(a_tie_goes_to_one_runoff_of_the_tied),
        consensus_test(the_chair_breaks_a_tie),
        consensus_test(a_round_that_cannot_be_is_refused_by_field),
        consensus_test(a_ballot_that_does_not_fit_is_refused_by_field),
        consensus_test(a_ballot_says_one_thing),
        consensus_test(opening_twice_under_one_key_opens_one_round),
        consensus_test(a_signature_covers_the_voter_the_choice_and_the_round),
        consensus_test(bft_voids_the_seat_that_votes_twice),
        consensus_test(neither_ballot_of_a_voided_seat_decides),
        consensus_test(a_certificate_of_each_rule_verifies),
        consensus_test(no_byte_of_a_certificate_can_be_changed),
        consensus_test(a_hub_that_lies_is_found_out),
        consensus_test(no_commitment_comes_after_its_time),
        consensus_test(ballots_are_committed_to_first_and_shown_later),
        consensus_test(when_all_have_committed_ballots_are_shown_at_once),
        consensus_test(commitments_change_nothing_of_how_ballots_come_out),
        consensus_test(no_byte_of_a_certificate_with_commitments_can_be_changed),
        consensus_test(a_round_stored_before_there_were_commitments_goes_on_as_it_was),
        consensus_test(an_open_round_has_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
