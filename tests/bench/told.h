/* tests/bench/told.h: what a frame of the hub says, found by the text before it: no tree is built
 * where the client's own time would be measured too.
 *
 * Owns     nothing.     Threads  any.
 */
#ifndef WAGGLE_BENCH_TOLD_H
#define WAGGLE_BENCH_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool told_is(const char *text, size_t len, const char *type); /* {"type":"<type>" … */
bool told_has(const char *text, size_t len, const char *key);
uint64_t told_number(const char *text, size_t len, const char *key); /* UINT64_MAX: not there */
/* Up to the next quote; empty when it is not there. */
void told_word(const char *text, size_t len, const char *key, char *out, size_t size);

#endif
