#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "auth/digest.h"
#include "hub/cli/cli.h"

int main(int argc, char **argv)
{
    /* Columns are counted in UTF-8 whatever the environment says; numbers keep their point. */
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        (void)setlocale(LC_CTYPE, "");
    }
    signal(SIGPIPE, SIG_IGN); /* a hub that goes away is an error to handle; see cli_flush() */
    if (!auth_init() || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        return CLI_FAILED;
    }
    enum cli_exit rc = cli_main(argc, argv);
    curl_global_cleanup();
    return (int)rc;
}
