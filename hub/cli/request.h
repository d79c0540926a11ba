/* hub/cli/request.h: commands that are one operation of the hub: a row says which, how options and
 * operands become its fields, and how its answer is shown.
 *
 * What such a command can do besides follows from the options in its table, by name:
 *   --dry-run   prints the request instead of sending it
 *   --yes       without it, a person at a terminal is asked before something is destroyed
 *   --key       the Idempotency-Key: sent again, it is the same request
 *   --watch     shows the answer again whenever one of `channels` tells of a change
 *   --follow    goes on with the events of what was made, until it has ended (hub/cli/follow.h)
 *
 * Threads  one.       Errors  an exit code; the sentence for it is on stderr.
 */
#ifndef WAGGLE_CLI_REQUEST_H
#define WAGGLE_CLI_REQUEST_H

#include "hub/cli/cli.h"
#include "hub/cli/follow.h"
#include "hub/cli/http.h"
#include "hub/cli/pages.h"

enum field_form {
    FIELD_TEXT,
    FIELD_NUMBER, /* also fractions: the digits as typed */
    FIELD_SECONDS,
    FIELD_MS,
    FIELD_FLAG,    /* true when given */
    FIELD_LIST,    /* given again and again, or "a,b": a list of texts */
    FIELD_PAIRS,   /* key=value, again and again: an object of texts */
    FIELD_JSON,    /* JSON; @FILE, a file's name or - reads it from there */
    FIELD_ANY,     /* JSON where it is JSON, else text: 3, true, "yes", yes */
    FIELD_SECRET,  /* the line in that file: hub/cli/secret_file.h */
    FIELD_MEMBERS, /* key=value, again and again: fields of their own, the values as FIELD_ANY */
    FIELD_DEFAULT, /* as FIELD_FIXED, unless the row after it is given */
    FIELD_FIXED,   /* argument is the value itself, as JSON */
};

struct field {            /* a table ends with a row without key */
    const char *argument; /* an option's name; an operand's, in capitals */
    const char *key;      /* "a.b": b within an object a, whose fields stand together */
    enum field_form form;
};

enum request_how {
    REQUEST_QUERY = 1,    /* the fields go into the query whatever the method */
    REQUEST_DESTROYS = 2, /* asks first */
    REQUEST_PAGES = 4,    /* the answer's next_cursor is told */
    REQUEST_QUIET = 8,    /* a table of the answer would say nothing new */
};

struct newest {
    const char *path, *query, *what; /* GET path, take query of the answer */
};

struct request {
    const char *method;
    const char *path;           /* "/api/v1/tasks/{TASK}/cancel": an operand, or {name} an option */
    const struct field *fields; /* of the body; of the query for GET and DELETE */
    const char *member;         /* what of the answer is shown; NULL: all of it */
    const struct column *columns; /* NULL: the answer is one object */
    const char *id;               /* of an object, for -o id */
    unsigned how;
    const char *channels; /* that tell when to look again: "tasks queue.>"; "{": the first operand;
                             "": none does, and so it is looked at now and then */
    const struct follow *follow;
    const struct newest *newest; /* whose id stands in for an operand that was left out */
    /* Makes the list that the columns are of, where the answer has none; NULL: member is it. */
    void (*list)(struct slice answer, struct buf *out);
};

/* A row of a table that ends with a row without command.name. Its command's run is request_run. */
struct verb {
    struct command command;
    struct request request;
};

/* Rows for the options of commands that have a request. */
#define REQUEST_OPTIONS_SEND                                                                       \
    {                                                                                              \
        0, "dry-run", OPTION_FLAG, 0, NULL, "print the request instead of sending it", NULL        \
    }
#define REQUEST_OPTIONS_CREATE                                                                     \
    {'k', "key", OPTION_TEXT, 0, "KEY", "idempotency key: sent again, it is the same request",     \
     NULL},                                                                                        \
        REQUEST_OPTIONS_SEND
#define REQUEST_OPTIONS_DESTROY                                                                    \
    {'y', "yes", OPTION_FLAG, 0, NULL, "do not ask first", NULL}, REQUEST_OPTIONS_SEND
#define REQUEST_OPTION_WATCH                                                                       \
    {                                                                                              \
        'w', "watch", OPTION_FLAG, 0, NULL, "again whenever something changes", NULL               \
    }

#define REQUEST_OPTION_REASON                                                                      \
    {                                                                                              \
        0, "reason", OPTION_TEXT, 0, "TEXT", "why, for the event that tells of it and the audit",  \
            NULL                                                                                   \
    }

extern const struct field page_fields[];   /* of PAGE_OPTIONS */
extern const struct field reason_fields[]; /* of REQUEST_OPTION_REASON alone */

/* The run of a verb. */
enum cli_exit request_run(struct cli *cli);
/* The same as with --watch. */
enum cli_exit request_watch(struct cli *cli);

/* Its parts, for commands that do more. */
enum cli_exit request_path(struct cli *cli, const struct request *request, struct buf *out);
bool request_body(struct cli *cli, const struct request *request, struct buf *out);
/* Sends it and waits. */
enum cli_exit request_send(struct cli *cli, const struct request *request, struct reply *out);
void request_show(const struct cli *cli, const struct request *request, struct slice answer);
/* Prints what would be sent; in JSON when another form than a table is asked for. */
void request_print(const struct cli *cli, const char *method, const char *path, struct slice body);
/* Asks a person; true at once with --yes or where nobody can be asked. */
bool request_confirm(struct cli *cli);
/* JSON typed, or in the file of "@FILE" or "FILE", or on stdin for "-"; false with args' error set.
 */
bool request_json(struct args *args, const char *name, const char *text, struct buf *out);

#endif
