/* What the wire's state machines cost by themselves: nanoseconds for each request head and frame,
 * and bytes unmasked and checked a second. The best of several runs, as the machine is shared. */
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include "hub/net/http1.h"
#include "hub/net/utf8.h"
#include "hub/net/ws.h"

enum { RUNS = 9 };

static const char browser_get[] =
    "GET /dashboard/?tab=agents HTTP/1.1\r\n"
    "Host: hub.example:8000\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"120\", \"Not?A_Brand\";v=\"8\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

static const char json_post[] =
    "POST /tasks/submit HTTP/1.1\r\n"
    "Host: 127.0.0.1:8000\r\n"
    "User-Agent: python-requests/2.31.0\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
    "Content-Type: application/json\r\n"
    "X-API-Key: wk_0123456789abcdef0123456789\r\n"
    "Content-Length: 62\r\n\r\n"
    "{\"task_data\":{\"task_id\":\"t-1\",\"kind\":\"map\"},\"priority\":\"high\"}";

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static volatile size_t sink; /* keeps what is measured from being left out */

static double http1_run(const char *text, size_t n, size_t cut, size_t rounds)
{
    static const struct http1_limits limits = {16384, 8192, 100, 1 << 20};
    static struct http1_request req;
    struct http1 p;
    http1_init(&p, &limits);
    uint64_t start = now_ns();
    for (size_t i = 0; i < rounds; i++) {
        const uint8_t *in = (const uint8_t *)text;
        size_t ends[] = {cut, n}, at = 0, used;
        for (int part = cut ? 0 : 1; part < 2; part++) {
            enum http1_event event;
            do {
                event = http1_feed(&p, &req, in + at, ends[part] - at, &used);
                at += used;
            } while (event != HTTP1_MORE && event != HTTP1_DONE && event != HTTP1_ERROR);
            sink += req.headers_n + (event == HTTP1_DONE);
        }
    }
    double ns = (double)(now_ns() - start) / (double)rounds;
    http1_done(&p);
    return ns;
}

static void http1_bench(const char *what, const char *text, size_t cut)
{
    double best = 1e18;
    for (int i = 0; i < RUNS; i++) {
        double ns = http1_run(text, strlen(text), cut, 200000);
        best = ns < best ? ns : best;
    }
    printf("%-44s %8.0f ns  %5zu bytes\n", what, best, strlen(text));
}

/* Frames with a zero mask, so that what was unmasked in place is masked again for the next round.
 */
static double ws_run(uint8_t *stream, size_t n, size_t frames, size_t rounds)
{
    struct ws w;
    ws_init(&w, WS_SERVER, 1 << 20);
    uint64_t start = now_ns();
    for (size_t i = 0; i < rounds; i++) {
        size_t at = 0, used;
        while (ws_feed(&w, stream + at, n - at, &used) == WS_MESSAGE) {
            at += used;
            sink += w.message.n;
        }
    }
    double ns = (double)(now_ns() - start) / (double)(rounds * frames);
    ws_done(&w);
    return ns;
}

static void ws_bench(const char *what, const char *unit, size_t payload_n)
{
    static uint8_t stream[1 << 16];
    const uint8_t no_mask[4] = {0};
    size_t n = 0, frames = 0, unit_n = strlen(unit);
    while (n + WS_HEAD_BYTES_MAX + payload_n <= sizeof stream) {
        n += ws_head_put(stream + n, WS_TEXT, true, payload_n, no_mask);
        for (size_t i = 0; i < payload_n; i += unit_n) {
            memcpy(stream + n + i, unit, unit_n);
        }
        n += payload_n;
        frames++;
    }
    double best = 1e18;
    for (int i = 0; i < RUNS; i++) {
        double ns = ws_run(stream, n, frames, 2000);
        best = ns < best ? ns : best;
    }
    printf("%-44s %8.1f ns  %5zu bytes  %6.2f GB/s\n", what, best, payload_n,
           (double)payload_n / best);
}

static void bytes_bench(const char *what, bool masking, const char *unit)
{
    static uint8_t bytes[1 << 14];
    const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    double best = 1e18;
    size_t unit_n = strlen(unit);
    for (size_t i = 0; i + unit_n <= sizeof bytes; i += unit_n) {
        memcpy(bytes + i, unit, unit_n);
    }
    for (int run = 0; run < RUNS; run++) {
        uint64_t start = now_ns();
        for (int i = 0; i < 10000; i++) {
            if (masking) {
                ws_mask(bytes, sizeof bytes, mask, 0);
            } else {
                sink += utf8_feed(UTF8_WHOLE, bytes, sizeof bytes);
            }
        }
        double ns = (double)(now_ns() - start) / 10000;
        best = ns < best ? ns : best;
    }
    printf("%-44s %34.2f GB/s\n", what, (double)sizeof bytes / best);
}

int main(void)
{
    http1_bench("request: a browser's GET", browser_get, 0);
    http1_bench("request: a browser's GET in two parts", browser_get, 300);
    http1_bench("request: POST with JSON", json_post, 0);
    http1_bench("request: POST with JSON, body apart", json_post, sizeof json_post - 1 - 62);
    ws_bench("frame: text, ASCII", "x", 128);
    ws_bench("frame: text, ASCII", "x", 4096);
    ws_bench("frame: text, two bytes a character", "\xc3\xa9", 128);
    bytes_bench("unmasking, 16 KiB", true, "x");
    bytes_bench("UTF-8, ASCII", false, "x");
    bytes_bench("UTF-8, one in sixteen not ASCII", false, "fifteen letters\xc3\xa9");
    bytes_bench("UTF-8, three bytes a character", false, "\xe2\x82\xac");
    return 0;
}
