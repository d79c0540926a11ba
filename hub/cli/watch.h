/* hub/cli/watch.h: showing something again whenever channels tell of a change.
 *
 * Many events at once are one redraw; without events it is shown again now and then, since ages and
 * figures move by themselves. A terminal is cleared first. A hub that is away for a moment does not
 * end the watch.
 */
#ifndef WAGGLE_CLI_WATCH_H
#define WAGGLE_CLI_WATCH_H

#include "hub/cli/cli.h"

/* channels: names or patterns, spaces between; "": only now and then. Returns when show fails for
 * good. */
enum cli_exit watch_run(struct cli *cli, const char *channels, enum cli_exit (*show)(void *ctx),
                        void *ctx);
/* The frame that subscribes to such channels. */
void watch_subscribe(struct buf *out, const char *channels);

#endif
