#include "hub/schema/format.h"

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
uint32_t utf8_next(const char **p, const char *end)
{
    unsigned char first = (unsigned char)*(*p)++;
    if (first < 0x80) {
        return first;
    }
    int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || end - *p < more) {
        return UINT32_MAX;
    }
    uint32_t c = first & (0x3Fu >> more);
    for (int i = 0; i < more; i++, (*p)++) {
        if (((unsigned char)**p & 0xC0) != 0x80) {
            return UINT32_MAX;
        }
        c = (c << 6) | ((unsigned char)**p & 0x3F);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    bool bad = c < least[more] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF);
    return bad ? UINT32_MAX : c;
}
