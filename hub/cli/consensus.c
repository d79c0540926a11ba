/* Rounds of voting. What a certificate is worth is checked without a hub: hub/cli/verify.c. */
#include "hub/cli/consensus_commit.h"
#include "hub/cli/nouns.h"

// clang-format off
static const char *const statuses[] = { "open", "decided", "tied", "no_quorum", "no_decision", "cancelled", NULL };
static const char *const rules[] = {
    "plurality", "majority", "supermajority", "unanimous", "weighted", "approval", "borda", "irv", "condorcet",
    "score_mean", "score_median", "confidence_weighted", "bft", NULL };
static const char *const ties[] = { "runoff", "chair", "weight", "option_order", "seeded_random", "none", NULL };
static const char *const visibilities[] = { "sealed", "open", NULL };

static const struct column columns[] = {
    { "ROUND",    "round_id",         COLUMN_TEXT,   false },
    { "STATUS",   "status",           COLUMN_STATUS, false },
    { "PHASE",    "phase",            COLUMN_TEXT,   false },
    { "RULE",     "rule",             COLUMN_TEXT,   false },
    { "VOTED",    "voted",            COLUMN_NUMBER, false },
    { "SEATS",    "seats",            COLUMN_NUMBER, false },
    { "WINNER",   "winner",           COLUMN_TEXT,   false },
    { "SURE",     "confidence_score", COLUMN_NUMBER, true },
    { "OPENED",   "opened_at",        COLUMN_AGE,    false },
    { "REVEAL",   "reveal_at",        COLUMN_TEXT,   true },
    { "DEADLINE", "deadline",         COLUMN_TEXT,   true },
    { "QUESTION", "question",         COLUMN_TEXT,   false },
    { 0 },
};

static const struct operand one_round[] = { { "ROUND", OPTION_REQUIRED, "its id" }, { 0 } };
static const struct operand question[] = { { "QUESTION", OPTION_REQUIRED, "what is asked" }, { 0 } };
static const struct operand vote_operands[] = {
    { "ROUND", OPTION_REQUIRED, "its id" }, { "CHOICE", 0, "the option voted for" }, { 0 } };

static const struct operand commit_operands[] = {
    { "ROUND", OPTION_REQUIRED, "its id" },
    { "BALLOT", 0, "with --nonce-file the option voted for, else the commitment, made elsewhere" }, { 0 } };

static const struct option open_options[] = {
    { 0, "electorate", OPTION_TEXT, OPTION_REQUIRED | OPTION_MANY, "A,B", "who votes: agents, or names of callers", NULL },
    { 0, "option", OPTION_TEXT, OPTION_MANY, "A,B", "what there is to choose from (yes,no)", NULL },
    { 0, "rule", OPTION_CHOICE, 0, "RULE", "how votes are counted (majority)", rules },
    { 0, "threshold", OPTION_TEXT, 0, "SHARE", "of a supermajority: 0.75, or \"3/4\" (2/3)", NULL },
    { 0, "quorum", OPTION_TEXT, 0, "SHARE", "of the weight that must vote (more than half)", NULL },
    { 0, "tie", OPTION_CHOICE, 0, "POLICY", "what breaks a tie (runoff)", ties },
    { 0, "chair", OPTION_TEXT, 0, "MEMBER", "whose ballot breaks it", NULL },
    { 0, "revote", OPTION_FLAG, 0, NULL, "ballots may be changed while it is open", NULL },
    { 0, "early-close", OPTION_FLAG, 0, NULL, "close as soon as no ballot can change the outcome", NULL },
    { 0, "signed", OPTION_FLAG, 0, NULL, "only signed ballots", NULL },
    { 0, "visibility", OPTION_CHOICE, 0, "WHEN", "whether ballots are seen before the close (sealed)", visibilities },
    { 0, "for", OPTION_SECONDS, 0, "TIME", "how long votes are taken (300)", NULL },
    { 0, "commit-for", OPTION_SECONDS, 0, "TIME", "so much of it only commitments are taken, and ballots in the rest", NULL },
    { 0, "reference", OPTION_TEXT, 0, "TEXT", "what it is about", NULL },
    FOLLOW_OPTIONS,
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field open_fields[] = {
    { "QUESTION", "question", FIELD_TEXT }, { "electorate", "electorate", FIELD_LIST }, { "option", "options", FIELD_LIST },
    { "rule", "rule", FIELD_TEXT }, { "threshold", "threshold", FIELD_ANY }, { "quorum", "quorum", FIELD_ANY },
    { "tie", "tie", FIELD_TEXT }, { "chair", "chair", FIELD_TEXT }, { "revote", "revote", FIELD_FLAG },
    { "early-close", "early_close", FIELD_FLAG }, { "signed", "signed", FIELD_FLAG }, { "visibility", "visibility", FIELD_TEXT },
    { "for", "timeout_seconds", FIELD_SECONDS }, { "commit-for", "commit_seconds", FIELD_SECONDS }, { "reference", "reference", FIELD_TEXT }, { 0 } };

#define BALLOT_OPTIONS \
    { 0, "voter", OPTION_TEXT, 0, "MEMBER", "whose ballot (your own)", NULL }, \
    { 0, "approve", OPTION_TEXT, OPTION_MANY, "A,B", "approval: all that are approved", NULL }, \
    { 0, "ranking", OPTION_TEXT, OPTION_MANY, "A,B,C", "ranked rules: the best first", NULL }, \
    { 0, "score", OPTION_TEXT, 0, "NUMBER", "score rules", NULL }, \
    { 0, "confidence", OPTION_FRACTION, 0, "0..1", "how sure", NULL }, \
    { 0, "abstain", OPTION_FLAG, 0, NULL, "count for the quorum alone", NULL }
static const struct option vote_options[] = {
    BALLOT_OPTIONS,
    { 0, "nonce", OPTION_TEXT, 0, "TEXT", "what the ballot was committed with", NULL },
    { 0, "nonce-file", OPTION_FILE, 0, "FILE", "the same, as `consensus commit` kept it", NULL },
    { 0, "reason", OPTION_TEXT, 0, "TEXT", "why, for the record", NULL },
    { 0, "signature", OPTION_TEXT, 0, "BASE64URL", "Ed25519 over the ballot", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct field vote_fields[] = {
    { "CHOICE", "choice", FIELD_TEXT }, { "voter", "voter", FIELD_TEXT }, { "approve", "choices", FIELD_LIST },
    { "ranking", "ranking", FIELD_LIST }, { "score", "score", FIELD_ANY }, { "confidence", "confidence", FIELD_NUMBER },
    { "abstain", "abstain", FIELD_FLAG }, { "nonce", "nonce", FIELD_TEXT },
    { "nonce-file", "nonce", FIELD_SECRET }, { "reason", "reason", FIELD_TEXT }, { "signature", "signature", FIELD_TEXT }, { 0 } };

static const struct option commit_options[] = {
    BALLOT_OPTIONS,
    { 0, "nonce-file", OPTION_FILE, 0, "FILE", "where the nonce is, or is put when it is not there", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct field commit_fields[] = {
    { "BALLOT", "commitment", FIELD_TEXT }, { "voter", "voter", FIELD_TEXT }, { 0 } };

static const struct option list_options[] = {
    { 0, "status", OPTION_CHOICE, 0, "STATUS", "only those in this state", statuses },
    { 0, "reference", OPTION_TEXT, 0, "TEXT", "only those about this", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};
static const struct field list_fields[] = {
    { "status", "status", FIELD_TEXT }, { "reference", "reference", FIELD_TEXT },
    { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option watch_options[] = { FOLLOW_OPTION_WITHIN, { 0 } };
static const struct option cancel_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };

const struct follow round_follow = {
    .id = "round_id", .channel = "consensus.", .method = "consensus.get", .param = "round_id", .show_id = "winner" };

const struct verb consensus_verbs[] = {
    { { "consensus open", "open a round of voting", "Prints the round's id. With --follow it stays until the round has closed: 0 when it is decided.",
        question, open_options, request_run, "waggle consensus open 'Ship version 2?' --electorate bee-1,bee-2,bee-3 --for 10m --follow" },
      { .method = "POST", .path = "/api/v1/consensus", .fields = open_fields, .id = "round_id", .follow = &round_follow } },
    { { "consensus ls", "the rounds, newest first", NULL, NULL, list_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/consensus", .fields = list_fields, .member = "rounds", .columns = columns, .how = REQUEST_PAGES, .channels = "consensus.>" } },
    { { "consensus show", "one round", NULL, one_round, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/consensus/{ROUND}", .id = "round_id", .channels = "consensus.>" } },
    { { "consensus watch", "follow a round to its close", NULL, one_round, watch_options, request_run, NULL },
      { .follow = &round_follow } },
    { { "consensus commit", "commit to a ballot that will be shown later",
        "In a round with --commit-for. With --nonce-file the commitment is made here, of the ballot and of a nonce that the "
        "file keeps; `consensus vote` with the same ballot and file shows it when the round reveals.",
        commit_operands, commit_options, consensus_commit_run, "waggle consensus commit 018f2c1e yes --nonce-file nonce" },
      { .method = "POST", .path = "/api/v1/consensus/{ROUND}/commitments", .fields = commit_fields, .id = "commitment" } },
    { { "consensus vote", "cast a ballot", NULL, vote_operands, vote_options, consensus_vote_run, "waggle consensus vote 018f2c1e yes --confidence 0.9" },
      { .method = "POST", .path = "/api/v1/consensus/{ROUND}/votes", .fields = vote_fields, .id = "ballot" } },
    { { "consensus certificate", "what a closed round came to, signed by the hub", NULL, one_round, NULL, request_run,
        "waggle consensus certificate 018f2c1e -o json > certificate.json" },
      { .method = "GET", .path = "/api/v1/consensus/{ROUND}/certificate", .id = "kid" } },
    { { "consensus cancel", "cancel an open round", NULL, one_round, cancel_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/consensus/{ROUND}/cancel", .fields = reason_fields, .id = "round_id", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on
