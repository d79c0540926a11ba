/* Preloaded into a hub of the build with AddressSanitizer: at SIGUSR1 it forgets some memory, so
 * that a story can see that a hub which forgets some would not end well. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { FORGOTTEN_BYTES = 4242 };

static void *volatile kept;

static void forget(int number)
{
    static const char said[] = "leaked\n";
    (void)number;
    kept = malloc(FORGOTTEN_BYTES);
    kept = NULL;
    (void)!write(STDERR_FILENO, said, sizeof said - 1);
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {.sa_handler = forget};
    (void)sigaction(SIGUSR1, &action, NULL);
}
