/* hub/net/http1_text.h: the small texts around an HTTP message: paths, queries, answers' heads.
 *
 * Owns     nothing. What is decoded lies in the caller's scratch until that is given to the next
 *          call; what needs no decoding borrows from the text given.
 * Threads  any.
 * Units    bytes; seconds since 1970.
 * Limits   what is decoded is never longer than what was given.
 * Errors   enum http1_path_rc, enum http1_query_rc; the writers check what came from outside.
 */
#ifndef WAGGLE_HUB_NET_HTTP1_TEXT_H
#define WAGGLE_HUB_NET_HTTP1_TEXT_H

#include "store/mem.h"

/* Equal when ASCII letters compare without case; lower is in lower case. */
bool http1_same(struct slice text, const char *lower);

/* Walks a comma-separated list; members come without the white space around them and may be empty.
 *     for (struct slice rest = value, item; http1_list_next(&rest, &item);) …  */
bool http1_list_next(struct slice *rest, struct slice *out_item);

enum http1_path_rc {
    HTTP1_PATH_OK = 0,
    HTTP1_PATH_FORM,    /* does not begin with a slash */
    HTTP1_PATH_ESCAPE,  /* % without two hexadecimal digits */
    HTTP1_PATH_CONTROL, /* a control character, NUL among them */
    HTTP1_PATH_BACKSLASH,
    HTTP1_PATH_DOTS,  /* a segment "." or "..", escaped or not: clients resolve them before sending
                       */
    HTTP1_PATH_EMPTY, /* an empty segment that is not the last: "//host" means something else */
    HTTP1_PATH_UTF8,
};
/* Undoes percent-encoding once. A path is refused or means what it says: nothing is merged. */
enum http1_path_rc http1_path_normal(struct slice path, struct buf *scratch, struct slice *out);
/* A slash of the path came as %2f: it belongs to its segment, and the decoded text alone no longer
 * says where segments end. */
bool http1_path_slash_inside(struct slice path);
const char *http1_path_rc_text(enum http1_path_rc rc);

/* Walks `a=b&c`, a query or a form: plus is a space, names without `=` have an empty value, empty
 * pairs are passed over.
 *     struct slice rest = req->query;
 *     while ((rc = http1_query_next(&rest, &scratch, &name, &value)) == HTTP1_QUERY_PAIR) …  */
enum http1_query_rc { HTTP1_QUERY_END, HTTP1_QUERY_PAIR, HTTP1_QUERY_BAD }; /* escape, NUL, UTF-8 */
enum http1_query_rc http1_query_next(struct slice *rest, struct buf *scratch,
                                     struct slice *out_name, struct slice *out_value);
/* The first pair of that name; QUERY_END: none. Pairs behind it are not judged. */
enum http1_query_rc http1_query_get(struct slice query, const char *name, struct buf *scratch,
                                    struct slice *out_value);

const char *http1_status_text(unsigned status); /* "Not Found"; "" when unknown */

/* The head of an answer, appended to out: begin, any headers, end. */
void http1_answer_begin(struct buf *out, unsigned status);
/* False, and nothing written, for a value with a control character (it could start a header of its
 * own); name is ours. */
bool http1_answer_add(struct buf *out, const char *name, struct slice value);
void http1_answer_add_str(struct buf *out, const char *name, const char *value); /* value is ours */
void http1_answer_add_u64(struct buf *out, const char *name, uint64_t value);
void http1_answer_end(struct buf *out);

enum { HTTP1_CHUNK_HEAD_BYTES_MAX = 18, HTTP1_DATE_BYTES = 29 };
/* "1a3\r\n", to stand before a chunk of n bytes and its own CR LF; returns the count of bytes. */
size_t http1_chunk_head_put(uint8_t out[HTTP1_CHUNK_HEAD_BYTES_MAX], uint64_t n);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), years 0 to 9999. */
void http1_date_put(uint8_t out[HTTP1_DATE_BYTES], int64_t unix_s);

#endif
