/* RFC 3339 section 5.6 and appendix A, read left to right with a cursor. */
#include "hub/schema/format.h"

#include <string.h>

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *at, char c)
{
    if (at->p == at->end || *at->p != c) {
        return false;
    }
    at->p++;
    return true;
}

static bool take_any(struct cursor *at, char a, char b)
{
    return take(at, a) || take(at, b);
}

static bool digit_here(const struct cursor *at)
{
    return at->p < at->end && *at->p >= '0' && *at->p <= '9';
}

static bool number(struct cursor *at, int digits, int max, int *out)
{
    int n = 0;
    for (int i = 0; i < digits; i++) {
        if (!digit_here(at)) {
            return false;
        }
        n = n * 10 + (*at->p++ - '0');
    }
    *out = n;
    return n <= max;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool full_date(struct cursor *at)
{
    int year, month, day;
    return number(at, 4, 9999, &year) && take(at, '-') && number(at, 2, 12, &month) && month >= 1 &&
           take(at, '-') && number(at, 2, days_in(year, month), &day) && day >= 1;
}

static bool fraction(struct cursor *at)
{
    if (!take(at, '.')) {
        return true;
    }
    const char *start = at->p;
    while (digit_here(at)) {
        at->p++;
    }
    return at->p > start;
}

/* Minutes east of UTC. */
static bool offset(struct cursor *at, int *out)
{
    int hour = 0, minute = 0;
    *out = 0;
    if (take_any(at, 'Z', 'z')) {
        return true;
    }
    bool east = take(at, '+');
    if (!east && !take(at, '-')) {
        return false;
    }
    bool ok = number(at, 2, 23, &hour) && take(at, ':') && number(at, 2, 59, &minute);
    *out = (hour * 60 + minute) * (east ? 1 : -1);
    return ok;
}

/* A 60th second exists only in the last minute of a day of UTC (section 5.7). */
static bool full_time(struct cursor *at)
{
    int hour, minute, second, east;
    bool ok = number(at, 2, 23, &hour) && take(at, ':') && number(at, 2, 59, &minute) &&
              take(at, ':') && number(at, 2, 60, &second) && fraction(at) && offset(at, &east);
    if (!ok || second < 60) {
        return ok;
    }
    int utc = (hour * 60 + minute - east + 2 * 24 * 60) % (24 * 60);
    return utc == 23 * 60 + 59;
}

bool format_date(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    struct cursor at = {text, text + n};
    return full_date(&at) && at.p == at.end;
}

bool format_time(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    struct cursor at = {text, text + n};
    return full_time(&at) && at.p == at.end;
}

bool format_date_time(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    struct cursor at = {text, text + n};
    return full_date(&at) && take_any(&at, 'T', 't') && full_time(&at) && at.p == at.end;
}

/* Reads numbers each with one of the units, in their order and without a gap: the grammar lets
 * years be followed by months only, months by days only. Counts what it read. */
static int amounts(struct cursor *at, const char *units)
{
    int count = 0;
    const char *unit = units;
    while (digit_here(at)) {
        while (digit_here(at)) {
            at->p++;
        }
        const char *found = at->p < at->end && *at->p ? strchr(unit, *at->p) : NULL;
        if (!found || (count > 0 && found != unit)) {
            return -1;
        }
        at->p++;
        unit = found + 1;
        count++;
    }
    return count;
}

bool format_duration(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    struct cursor at = {text, text + n};
    if (!take(&at, 'P')) {
        return false;
    }
    struct cursor weeks = at;
    if (amounts(&weeks, "W") == 1) {
        return weeks.p == weeks.end;
    }
    int date = amounts(&at, "YMD");
    int time = 0;
    if (date >= 0 && take(&at, 'T')) {
        time = amounts(&at, "HMS");
        if (time <= 0) {
            return false;
        }
    }
    return date >= 0 && date + time > 0 && at.p == at.end;
}
