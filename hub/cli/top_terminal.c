#include "hub/cli/top_terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool top_terminal_draws(void)
{
    int known;
    char to_address[] = "cup";
    return setupterm(NULL, STDOUT_FILENO, &known) == OK && tigetstr(to_address);
}
