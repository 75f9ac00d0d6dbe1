/* The program whose output is captured: it waits at a gate, notes the time, writes, and leaves a stamp of when and at what cost.
 *
 *   produce SHAPE COUNT GATE STAMP [PER_SECOND]
 *
 * blocks  COUNT blocks of 64 KB, one write() each; a terminal is set raw
 * lines   COUNT lines of 80 bytes, one write() each; a terminal is set to its usual output processing (\n becomes \r\n)
 * stamps  COUNT lines of 1 KB at PER_SECOND, each beginning with CLOCK_MONOTONIC in ns and its number; a terminal is set raw
 *
 * The gate is a FIFO: end of file on it means go. It keeps the start of the tool that is measured out of the time, and lets ten
 * producers start at once. The stamp (start ns, end ns, own CPU since the gate in us) is written after the last byte. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define LINE 80
#define STAMPED 1024

static void die(const char *what) { perror(what); exit(9); }

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void put(const char *bytes, size_t size) {
    while (size) {
        ssize_t n = write(1, bytes, size);
        if (n < 0) die("write");
        bytes += n;
        size -= n;
    }
}

static void decimal(char *to, int digits, unsigned long long value) {
    while (digits--) { to[digits] = '0' + value % 10; value /= 10; }
}

static void set_terminal(int raw) {
    struct termios mode;
    if (tcgetattr(1, &mode) < 0) return;    /* a pipe */
    cfmakeraw(&mode);
    if (!raw) mode.c_oflag |= OPOST | ONLCR;
    if (tcsetattr(1, TCSANOW, &mode) < 0) die("tcsetattr");
}

static void pass_gate(const char *path) {
    char c;
    int fd = open(path, O_RDONLY);
    if (fd < 0) die(path);
    while (read(fd, &c, 1) > 0) {}
    close(fd);
}

static void write_numbered(char *unit, size_t size, long count) {
    for (long i = 0; i < count; i++) {
        decimal(unit, 10, i);
        put(unit, size);
    }
}

static void write_stamped(char *line, long count, long per_second) {
    long long period = 1000000000LL / per_second;
    long long next = now_ns() + getpid() * 7919LL * 1000 % period;   /* spread: a fleet does not write in step */
    for (long i = 0; i < count; i++, next += period) {
        struct timespec until = {next / 1000000000LL, next % 1000000000LL};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) {}
        decimal(line, 20, now_ns());
        decimal(line + 21, 10, i);
        put(line, STAMPED);
    }
}

int main(int argc, char **argv) {
    static char unit[BLOCK];
    char stamp[128];
    if (argc < 5) return 2;
    long count = atol(argv[2]);
    memset(unit, 'x', sizeof unit);
    set_terminal(strcmp(argv[1], "lines") != 0);
    pass_gate(argv[3]);
    long long start = now_ns(), before_us = cpu_us();
    if (!strcmp(argv[1], "blocks")) {
        write_numbered(unit, BLOCK, count);
    } else if (!strcmp(argv[1], "lines")) {
        unit[LINE - 1] = '\n';
        write_numbered(unit, LINE, count);
    } else {
        unit[20] = unit[31] = ' ';
        unit[STAMPED - 1] = '\n';
        write_stamped(unit, count, atol(argv[5]));
    }
    int size = snprintf(stamp, sizeof stamp, "%lld %lld %lld\n", start, now_ns(), cpu_us() - before_us);
    int fd = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, stamp, size) != size) die(argv[4]);
    return 0;
}
