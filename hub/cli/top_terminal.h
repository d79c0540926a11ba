/* hub/cli/top_terminal.h: whether this terminal can be drawn on. Apart, since <term.h> takes some
 * two hundred ordinary words for macros.
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_TOP_TERMINAL_H
#define WAGGLE_CLI_TOP_TERMINAL_H

#include <stdbool.h>

/* TERM is known, and its cursor can be moved. Curses itself would end the program, or draw nothing.
 */
bool top_terminal_draws(void);

#endif
