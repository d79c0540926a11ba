#include "hub/cli/top_terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

/* What was looked up is let go of: the screen looks it up for itself. */
bool top_terminal_draws(void)
{
    int known;
    char to_address[] = "cup";
    if (setupterm(NULL, STDOUT_FILENO, &known) != OK) {
        return false;
    }
    const char *found = tigetstr(to_address);
    bool draws = found && found != (const char *)-1; /* -1: no name of a string */
    (void)del_curterm(cur_term);
    return draws;
}
