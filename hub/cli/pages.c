#include "hub/cli/pages.h"

#include "hub/cli/http.h"

void pages_print(const struct cli *cli, struct slice answer, const char *member,
                 const struct column *columns)
{
    struct buf next = {0};
    output_list(&cli->out, answer, member, columns);
    json_add_human(&next, json_at(answer, "next_cursor"));
    if (next.n) {
        cli_note(cli, "There is more: --cursor %s", buf_text(&next));
    }
    buf_done(&next);
}
