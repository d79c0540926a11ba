/* hub/cli/pages.h: lists that come in pages (rest-contract.md section 1: limit, cursor,
 * next_cursor).
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_PAGES_H
#define WAGGLE_CLI_PAGES_H

#include "hub/cli/cli.h"

/* Rows for the options table of a command that shows pages. */
#define PAGE_OPTIONS                                                                               \
    {0, "limit", OPTION_NUMBER, 0, "N", "at most so many (1000)", NULL},                           \
    {                                                                                              \
        0, "cursor", OPTION_TEXT, 0, "CURSOR", "go on where the last page ended", NULL             \
    }

/* Shows a page that has been fetched, and says on stderr when there is another. */
void pages_print(const struct cli *cli, struct slice answer, const char *member,
                 const struct column *columns);

#endif
