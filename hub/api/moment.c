#include "hub/api/moment.h"

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

/* Exactly n digits, at most `most`. */
static int64_t digits(struct reader *r, size_t n, int64_t most)
{
    int64_t v = 0;
    for (size_t i = 0; i < n; i++, r->p++) {
        if (r->p == r->end || *r->p < '0' || *r->p > '9') {
            r->bad = true;
            return 0;
        }
        v = v * 10 + (*r->p - '0');
    }
    r->bad = r->bad || v > most;
    return v;
}

static bool take(struct reader *r, const char *any_of)
{
    if (r->p == r->end || *r->p == '\0' || !strchr(any_of, *r->p)) {
        return false;
    }
    r->p++;
    return true;
}

static void demand(struct reader *r, const char *any_of)
{
    r->bad = !take(r, any_of) || r->bad;
}

static int64_t fraction_ms(struct reader *r)
{
    int64_t ms = 0, unit = 100;
    if (!take(r, ".")) {
        return 0;
    }
    const uint8_t *from = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++, unit /= 10) {
        ms += (*r->p - '0') * unit;
    }
    r->bad = r->bad || r->p == from;
    return ms;
}

static int64_t offset_min(struct reader *r)
{
    if (take(r, "Zz")) {
        return 0;
    }
    bool west = take(r, "-");
    if (!west) {
        demand(r, "+");
    }
    int64_t min = digits(r, 2, 23) * 60;
    demand(r, ":");
    min += digits(r, 2, 59);
    return west ? -min : min;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970 of the first of January. */
static int64_t year_days(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static int64_t date_days(struct reader *r)
{
    int64_t year = digits(r, 4, 9999);
    demand(r, "-");
    int64_t month = digits(r, 2, 12);
    demand(r, "-");
    int64_t day = digits(r, 2, 31);
    if (r->bad || year < 1970 || month == 0 || day == 0 || day > month_days(year, month)) {
        r->bad = true;
        return 0;
    }
    int64_t days = year_days(year) + day - 1;
    for (int64_t m = 1; m < month; m++) {
        days += month_days(year, m);
    }
    return days;
}

bool moment_read(struct slice text, int64_t *out_ms)
{
    struct reader r = {.p = text.p, .end = text.p ? text.p + text.n : NULL};
    int64_t days = date_days(&r);
    demand(&r, "Tt ");
    int64_t s = digits(&r, 2, 23) * 3600;
    demand(&r, ":");
    s += digits(&r, 2, 59) * 60;
    demand(&r, ":");
    s += digits(&r, 2, 60);
    int64_t ms = fraction_ms(&r);
    ms += (days * 86400 + s - offset_min(&r) * 60) * 1000;
    if (r.bad || r.p != r.end || ms < 0) {
        return false;
    }
    *out_ms = ms;
    return true;
}
