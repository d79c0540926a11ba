/* channels/json_run_sse2.h: json_run.h's run of plain bytes with the 16-byte registers that every
 * x86-64 has.
 *
 * Threads  any. A read never goes past `end`.
 */
#ifndef WAGGLE_CHANNELS_JSON_RUN_SSE2_H
#define WAGGLE_CHANNELS_JSON_RUN_SSE2_H

#include <emmintrin.h>

#include "channels/json_run.h"

static inline const uint8_t *json_plain_run_sse2(const uint8_t *p, const uint8_t *end)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const void *)p);
        /* Compared as signed numbers, controls and bytes of 0x80 and up are both below the space.
         */
        __m128i hits = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        int mask = _mm_movemask_epi8(hits);
        if (mask) {
            return p + __builtin_ctz((unsigned)mask);
        }
        p += 16;
    }
    return json_plain_run_words(p, end);
}

#endif
