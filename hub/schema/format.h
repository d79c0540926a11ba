/* hub/schema/format.h: the formats of JSON Schema, one predicate each.
 *
 * Threads  any; nothing here keeps state.
 * Limits   work is linear in the text; what "regex" and host names cost more, the meter pays.
 */
#ifndef WAGGLE_HUB_SCHEMA_FORMAT_H
#define WAGGLE_HUB_SCHEMA_FORMAT_H

#include "hub/schema/meter.h"
#include "hub/schema/regex.h"

#include <stdint.h>

/* What a predicate may use beside the text. */
struct format_tools {
    const struct regex *label; /* format_label_pattern, for formats that need it */
    struct regex_scratch **scratch;
    struct meter *meter;
};

typedef bool (*format_check)(const char *text, size_t n, const struct format_tools *tools);

struct format {
    const char *name;
    format_check check;
    bool needs_label;
};

const struct format *format_find(const char *name, size_t n); /* NULL: unknown */

/* An ECMA-262 pattern: what RFC 5892 permits in one U-label, and in which company. */
extern const char format_label_pattern[];

/* format_time.c: RFC 3339 */
bool format_date_time(const char *text, size_t n, const struct format_tools *tools);
bool format_date(const char *text, size_t n, const struct format_tools *tools);
bool format_time(const char *text, size_t n, const struct format_tools *tools);
bool format_duration(const char *text, size_t n, const struct format_tools *tools);

/* format_host.c: RFC 1123, RFC 5890, RFC 5321, RFC 6531, RFC 2673, RFC 4291 */
bool format_hostname(const char *text, size_t n, const struct format_tools *tools);
bool format_idn_hostname(const char *text, size_t n, const struct format_tools *tools);
bool format_email(const char *text, size_t n, const struct format_tools *tools);
bool format_idn_email(const char *text, size_t n, const struct format_tools *tools);
bool format_ipv4(const char *text, size_t n, const struct format_tools *tools);
bool format_ipv6(const char *text, size_t n, const struct format_tools *tools);

/* format_uri.c: RFC 3986, RFC 3987, RFC 6570 */
bool format_uri(const char *text, size_t n, const struct format_tools *tools);
bool format_uri_reference(const char *text, size_t n, const struct format_tools *tools);
bool format_iri(const char *text, size_t n, const struct format_tools *tools);
bool format_iri_reference(const char *text, size_t n, const struct format_tools *tools);
bool format_uri_template(const char *text, size_t n, const struct format_tools *tools);

/* utf8.c: the next character of *p, moved past it; UINT32_MAX for bytes that are not UTF-8. */
uint32_t utf8_next(const char **p, const char *end);

/* punycode.c: RFC 3492. False: not Punycode, or longer than max. */
bool punycode_decode(const char *text, size_t n, uint32_t *out, size_t max, size_t *out_n);
bool punycode_encoded_size(const uint32_t *points, size_t n, size_t *out_n);

#endif
