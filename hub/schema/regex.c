/* PCRE2 counts its own work and stops at a limit, but does not say how much it did. So a match is
 * first tried with a small allowance, then with larger ones, and the meter pays each allowance in
 * advance: a well-behaved pattern costs a few steps, an exploding one costs what it used within a
 * factor of ten.
 *
 * No JIT: on the patterns of requests it saves some 50 ns a match and costs 150 us a pattern. */
#include "hub/schema/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>

struct regex {
    pcre2_code *code;
};

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

enum { GROUPS_DEEP_MAX = 100, HEAP_KIB_MAX = 4096 };

/* Four calls of match() a step. */
static const struct {
    uint32_t allowance; /* of PCRE2's match() calls */
    size_t steps;
} tiers[] = {{32, 8}, {400, 100}, {4000, 1000}, {40000, 10000}, {400000, 100000}};

static pcre2_code *compile_code(const char *pattern, size_t n, int *error, size_t *at)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        *error = PCRE2_ERROR_NOMEMORY;
        return NULL;
    }
    (void)pcre2_set_parens_nest_limit(context, GROUPS_DEEP_MAX);
    (void)pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALLOW_SURROGATE_ESCAPES);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, n,
                                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                                         PCRE2_MATCH_UNSET_BACKREF,
                                     error, at, context);
    pcre2_compile_context_free(context);
    return code;
}

struct regex *regex_new(const char *pattern, size_t n, struct text *why)
{
    if (n > REGEX_PATTERN_MAX) {
        text_format(why, "is longer than %d bytes", REGEX_PATTERN_MAX);
        return NULL;
    }
    struct text ours = {0};
    pcre2_code *code = NULL;
    if (regex_translate(pattern, n, &ours, why)) {
        int error = 0;
        size_t at = 0;
        code = compile_code(text_c(&ours), ours.n, &error, &at);
        if (!code) {
            char message[160] = "";
            (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
            text_str(why, message);
        }
    }
    text_done(&ours);
    if (!code) {
        return NULL;
    }
    struct regex *regex = memory_resize(NULL, sizeof *regex);
    regex->code = code;
    return regex;
}

void regex_free(struct regex *regex)
{
    if (regex) {
        pcre2_code_free(regex->code);
        free(regex);
    }
}

size_t regex_bytes(const struct regex *regex)
{
    size_t bytes = 0;
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_SIZE, &bytes);
    return bytes;
}

void regex_scratch_free(struct regex_scratch *scratch)
{
    if (scratch) {
        pcre2_match_data_free(scratch->data);
        pcre2_match_context_free(scratch->context);
        free(scratch);
    }
}

static struct regex_scratch *scratch_new(void)
{
    struct regex_scratch *scratch = memory_resize(NULL, sizeof *scratch);
    scratch->data = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    if (!scratch->data || !scratch->context) {
        regex_scratch_free(scratch);
        return NULL;
    }
    (void)pcre2_set_heap_limit(scratch->context, HEAP_KIB_MAX);
    return scratch;
}

bool regex_match(const struct regex *regex, const char *text, size_t n,
                 struct regex_scratch **scratch, struct meter *meter)
{
    if (!*scratch && !(*scratch = scratch_new())) {
        return meter_stop(meter, "needs more memory than there is");
    }
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        /* One call of match() may scan the whole text: that too is paid. */
        if (!meter_spend(meter, tiers[i].steps * (1 + n / 128))) {
            return false;
        }
        (void)pcre2_set_match_limit((*scratch)->context, tiers[i].allowance);
        int rc = pcre2_match(regex->code, (PCRE2_SPTR)text, n, 0, 0, (*scratch)->data,
                             (*scratch)->context);
        if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
            return rc >= 0;
        }
        if (rc <= PCRE2_ERROR_UTF8_ERR1 && rc >= PCRE2_ERROR_UTF8_ERR21) {
            return false; /* not a JSON string at all: matches nothing */
        }
        if (rc != PCRE2_ERROR_MATCHLIMIT) {
            break;
        }
    }
    return meter_stop(meter, "has a pattern that takes too long to match");
}
