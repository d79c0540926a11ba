/* hub/schema/memory.h: allocation that does not fail, an arena, and a growing text.
 *
 * This room includes nothing of the tree, so it has its own. Memory that runs out ends the program
 * (c-style.md, "Ownership and errors"); what a peer can size is bounded before it gets here.
 * Owns     an arena every byte it gave, a text its bytes.      Threads  one at a time.
 */
#ifndef WAGGLE_HUB_SCHEMA_MEMORY_H
#define WAGGLE_HUB_SCHEMA_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

void *memory_resize(void *p, size_t n);

/* All zero is an empty arena. What it gives is zeroed, aligned for anything, and freed as a whole.
 */
struct arena {
    struct arena_chunk *chunks;
    size_t used; /* of the newest chunk */
};

void *arena_new(struct arena *arena, size_t count, size_t size);
char *arena_copy(struct arena *arena, const char *bytes, size_t n); /* adds a NUL */
void arena_done(struct arena *arena);

/* All zero is an empty text. */
struct text {
    char *p;
    size_t n, cap;
};

void text_done(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, const char *bytes, size_t n);
void text_str(struct text *text, const char *string);
void text_char(struct text *text, char c);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vformat(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
const char *text_c(struct text *text); /* with a NUL, until the text changes */

#endif
