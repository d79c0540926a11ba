/* tests/fuzz/fuzz_config.c: a configuration of any bytes. The first byte says where they stand: 0 a
 * file, 1 the environment, 2 flags, each line one. What is taken gives settings within their
 * bounds; what is refused is named. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hub/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 40, TEXT_BYTES = 600 };

/* Every bound that a thread of the hub relies on. */
static void check_settings(const struct config *config)
{
    struct hub_settings *s = config_settings(config);
    assert(s->message_bytes_max >= 1024 && s->message_bytes_max <= 64 << 20);
    assert(s->body_bytes_max >= 1024 && s->body_bytes_max <= 64 << 20);
    assert(s->head_bytes_max >= 1024 && s->head_bytes_max <= 1 << 20);
    assert(s->queue_bytes >= 4096 && s->connections_max >= 1 && s->handshakes_per_tick >= 1);
    assert(s->subscriptions_max >= 1 && s->pending_max >= 1);
    assert(s->head_ms >= 10 && s->body_ms >= 10 && s->idle_ms >= 10 && s->ping_ms >= 20);
    assert(s->heartbeat_interval_ms >= 1 && s->heartbeat_timeout_ms >= s->heartbeat_interval_ms);
    assert(s->agent_grace_ms >= 0 && s->agent_reconnect_ms >= 0);
    /* Times are added to now; a century of milliseconds and as much again must fit. */
    assert(s->token_ttl_max_ms >= 1000 && s->token_ttl_max_ms < INT64_MAX / 2);
    assert(s->key_overlap_ms >= 1000 && s->key_overlap_ms < INT64_MAX / 2);
    assert(s->heartbeat_timeout_ms < INT64_MAX / 2 && s->agent_grace_ms < INT64_MAX / 2);
    assert(s->anonymous_role < ROLE_COUNT);
    for (char **origin = s->origins; *origin; origin++) {
        assert(**origin);
    }
    config_settings_free(s);
}

static void load(int argc, char **argv, char **environment)
{
    struct config config;
    char text[TEXT_BYTES] = "";
    enum config_action action = config_load(&config, argc, argv, environment, text, sizeof text);
    assert(memchr(text, '\0', sizeof text));
    assert((action == CONFIG_WRONG) == (text[0] != '\0'));
    if (action == CONFIG_RUN || action == CONFIG_CHECK) {
        assert(config.listen.n >= 1 && config.listen.n <= 8);
        check_settings(&config);
    }
    config_done(&config);
}

static void from_file(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    ssize_t written = write(fd, data, size);
    assert(fd >= 0 && written == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {"waggled", "--config", path, NULL};
    load(3, argv, NULL);
    close(fd);
}

/* The lines of a text, as a NULL-terminated list behind `first`, if there is one. */
static void from_lines(char *text, char *first, bool flags)
{
    char *words[WORDS_MAX + 2] = {first}, *rest = text;
    int n = first ? 1 : 0;
    for (char *line; n <= WORDS_MAX && (line = strsep(&rest, "\n"));) {
        bool reads_a_file =
            strncmp(line, flags ? "--config" : "WAGGLE_CONFIG", flags ? 8 : 13) == 0;
        words[n++] = reads_a_file ? "" : line;
    }
    char *argv[] = {"waggled", NULL};
    load(flags ? n : 1, flags ? words : argv, flags ? NULL : words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *text = xstrndup(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        from_file(data + 1, size - 1);
        break;
    case 1:
        from_lines(text, NULL, false);
        break;
    default:
        from_lines(text, "waggled", true);
        break;
    }
    free(text);
    return 0;
}
