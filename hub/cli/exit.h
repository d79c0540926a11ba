/* hub/cli/exit.h: with what code the command line ends, by class of failure, so that scripts can
 * tell.
 *
 * Threads  any.
 */
#ifndef WAGGLE_CLI_EXIT_H
#define WAGGLE_CLI_EXIT_H

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* none of the classes below */
    CLI_USAGE = 2,  /* what was typed, or the value in it, is wrong */
    CLI_NOT_FOUND = 3,
    CLI_CONFLICT = 4, /* the object is not in the state that was assumed */
    CLI_DENIED = 5,
    CLI_TIMEOUT = 6,
    CLI_UNREACHABLE = 7, /* nobody answers, or the hub takes no more work now: try again later */
    CLI_EXITS
};

struct exit_class {
    const char *name, *meaning;
};
extern const struct exit_class exit_classes[CLI_EXITS]; /* for help */

enum cli_exit exit_of_status(long http_status);   /* also the "status" of an error frame */
enum cli_exit exit_of_close(unsigned close_code); /* of a WebSocket; native-protocol.md section 3 */

#endif
