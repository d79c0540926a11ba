#include "tests/bench/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const char *program, const char *about, const struct option_row *table,
                       size_t rows)
{
    printf("usage: %s --target NAME=[tls:]ADDR:PORT/PID [--target ...] [options]\n%s\n", program,
           about);
    for (size_t i = 0; i < rows; i++) {
        printf("  %-16s %s", table[i].name, table[i].help);
        if (table[i].number != NULL)
            printf(" (%" PRIu32 ")\n", *table[i].number);
        else
            printf(" (%s)\n", *table[i].text);
    }
}

static _Noreturn void refuse(const char *name, const char *why)
{
    fprintf(stderr, "bench: %s: %s (try --help)\n", name, why);
    exit(2);
}

static uint32_t read_number(const struct option_row *row, const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (end == value || *end != '\0' || n < row->min || n > row->max)
        refuse(row->name, "not a number in range");
    return (uint32_t)n;
}

static void take_option(const struct option_row *row, const char *value)
{
    if (row->number != NULL)
        *row->number = read_number(row, value);
    else
        *row->text = value;
}

static const struct option_row *find_row(const struct option_row *table, size_t rows,
                                         const char *name)
{
    for (size_t i = 0; i < rows; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    refuse(name, "unknown option");
}

void options_read(int argc, char **argv, const char *about, const struct option_row *table,
                  size_t rows, struct targets *out)
{
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(argv[0], about, table, rows);
            exit(0);
        }
        if (i + 1 == argc)
            refuse(argv[i], "no value");
        if (strcmp(argv[i], "--target") != 0)
            take_option(find_row(table, rows, argv[i]), argv[i + 1]);
        else if (out->count < TARGETS_MAX)
            out->list[out->count++] = target_parse(argv[i + 1]);
        else
            refuse(argv[i], "too many");
    }
    if (out->count == 0)
        refuse("--target", "missing");
}
