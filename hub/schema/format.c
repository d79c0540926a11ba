#include "hub/schema/format.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 4122 section 3: 8-4-4-4-12 */
static bool format_uuid(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    if (n != 36) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? text[i] != '-' : !is_hex(text[i])) {
            return false;
        }
    }
    return true;
}

/* RFC 6901 section 3: empty, or tokens that each start with a slash; ~ only as ~0 or ~1. */
static bool format_json_pointer(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    if (n > 0 && text[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '~' && (i + 1 == n || (text[i + 1] != '0' && text[i + 1] != '1'))) {
            return false;
        }
    }
    return true;
}

/* Levels up without a leading zero, then "#" or a pointer. */
static bool format_relative_json_pointer(const char *text, size_t n,
                                         const struct format_tools *tools)
{
    size_t digits = 0;
    while (digits < n && is_digit(text[digits])) {
        digits++;
    }
    if (digits == 0 || (digits > 1 && text[0] == '0')) {
        return false;
    }
    if (n - digits == 1 && text[digits] == '#') {
        return true;
    }
    return format_json_pointer(text + digits, n - digits, tools);
}

static bool format_regex(const char *text, size_t n, const struct format_tools *tools)
{
    if (n > REGEX_PATTERN_MAX) {
        return meter_stop(tools->meter, "has a regular expression that is too long to judge");
    }
    struct text why = {0};
    struct regex *regex = meter_spend(tools->meter, 200 + 4 * n) ? regex_new(text, n, &why) : NULL;
    bool ok = regex != NULL;
    regex_free(regex);
    text_done(&why);
    return ok;
}

/* clang-format off */
static const struct format formats[] = {
    {"date-time",             format_date_time,             false},
    {"date",                  format_date,                  false},
    {"time",                  format_time,                  false},
    {"duration",              format_duration,              false},
    {"email",                 format_email,                 false},
    {"idn-email",             format_idn_email,             true},
    {"hostname",              format_hostname,              true},
    {"idn-hostname",          format_idn_hostname,          true},
    {"ipv4",                  format_ipv4,                  false},
    {"ipv6",                  format_ipv6,                  false},
    {"uri",                   format_uri,                   false},
    {"uri-reference",         format_uri_reference,         false},
    {"iri",                   format_iri,                   false},
    {"iri-reference",         format_iri_reference,         false},
    {"uuid",                  format_uuid,                  false},
    {"uri-template",          format_uri_template,          false},
    {"json-pointer",          format_json_pointer,          false},
    {"relative-json-pointer", format_relative_json_pointer, false},
    {"regex",                 format_regex,                 false},
};
/* clang-format on */

const struct format *format_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strlen(formats[i].name) == n && memcmp(formats[i].name, name, n) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}
