/* hub/schema/regex.h: regular expressions of ECMA-262, run by PCRE2 under a budget.
 *
 * Owns     a regex its compiled code; a scratch the memory that matching needs.
 * Threads  a regex never changes and may be matched from several threads; a scratch belongs to one.
 * Limits   REGEX_PATTERN_MAX bytes of pattern. The meter pays for a match by what it was allowed to
 *          do, so a pattern that backtracks without end spends the meter.
 */
#ifndef WAGGLE_HUB_SCHEMA_REGEX_H
#define WAGGLE_HUB_SCHEMA_REGEX_H

#include "hub/schema/memory.h"
#include "hub/schema/meter.h"

enum { REGEX_PATTERN_MAX = 8192 };

struct regex;
struct regex_scratch; /* made when first needed; regex_scratch_free(NULL) is fine */

/* NULL: why says what is wrong with the pattern. */
struct regex *regex_new(const char *pattern, size_t n, struct text *why);
void regex_free(struct regex *regex);
size_t regex_bytes(const struct regex *regex); /* of compiled code */

/* Whether the pattern matches somewhere in the UTF-8 text. */
bool regex_match(const struct regex *regex, const char *text, size_t n,
                 struct regex_scratch **scratch, struct meter *meter);
void regex_scratch_free(struct regex_scratch *scratch);

/* regex_translate.c: appends the PCRE2 pattern that means what the ECMA-262 pattern means. False:
 * why says what is wrong. */
bool regex_translate(const char *pattern, size_t n, struct text *out, struct text *why);

#endif
