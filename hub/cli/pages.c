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

enum cli_exit pages_show(struct cli *cli, struct buf *path, const char *member,
                         const struct column *columns)
{
    struct reply reply;
    url_add_query(path, "limit", args_text(&cli->args, "limit"));
    url_add_query(path, "cursor", args_text(&cli->args, "cursor"));
    enum cli_exit rc = http_ask(cli, "GET", buf_text(path), (struct slice){0}, &reply);
    if (rc == CLI_OK) {
        pages_print(cli, buf_slice(&reply.body), member, columns);
    }
    reply_done(&reply);
    buf_done(path);
    return rc;
}
