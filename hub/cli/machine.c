#include "hub/cli/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* proc(5): user nice system idle iowait irq softirq steal, all in ticks since the start. */
double machine_cpu(struct machine *m, const char *stat)
{
    enum { FIELDS = 8, IDLE = 3, IOWAIT = 4 };
    uint64_t all = 0, idle = 0;
    if (strncmp(stat, "cpu ", 4) != 0) {
        return -1;
    }
    stat += 4;
    for (int i = 0; i < FIELDS; i++) {
        char *end;
        uint64_t ticks = strtoull(stat, &end, 10);
        if (end == stat) {
            return -1;
        }
        all += ticks;
        idle += i == IDLE || i == IOWAIT ? ticks : 0;
        stat = end;
    }
    uint64_t busy = all - idle;
    double share =
        all > m->all && busy >= m->busy ? (double)(busy - m->busy) / (double)(all - m->all) : 0;
    *m = (struct machine){.busy = busy, .all = all};
    return share > 1 ? 1 : share; /* iowait may run backwards, says proc(5) */
}

static double meminfo_kib(const char *meminfo, const char *name)
{
    const char *at = strstr(meminfo, name);
    return at ? strtod(at + strlen(name), NULL) : -1;
}

double machine_memory(const char *meminfo)
{
    double all = meminfo_kib(meminfo, "MemTotal:");
    double available = meminfo_kib(meminfo, "MemAvailable:");
    return all > 0 && available >= 0 && available <= all ? 1 - available / all : -1;
}

double machine_average(const char *loadavg, long cores)
{
    char *end;
    double average = strtod(loadavg, &end);
    if (end == loadavg || cores < 1) {
        return -1;
    }
    double share = average / (double)cores;
    return share > 1 ? 1 : share;
}

static const char *read_text(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    if (f) {
        fclose(f);
    }
    text[n] = '\0';
    return text;
}

struct machine_load machine_read(struct machine *m)
{
    char text[4096];
    struct machine_load load;
    load.cpu = machine_cpu(m, read_text("/proc/stat", text, sizeof text));
    load.memory = machine_memory(read_text("/proc/meminfo", text, sizeof text));
    load.load = machine_average(read_text("/proc/loadavg", text, sizeof text),
                                sysconf(_SC_NPROCESSORS_ONLN));
    return load;
}
