/* A program that keeps its own books: it writes numbered records and notes how many, when it is told to stop.
 *
 *   ledger_source write LEDGER [PER_SECOND [RECORDS]]
 *                                             records on stdout until SIGTERM, so many writes of so many; then LEDGER gets
 *                                             their number; exit code 7
 *   ledger_source expect COUNT                the same COUNT records, for whoever checks
 *
 * A record is 64 bytes: its number in 16 digits, 47 letters that follow from the number, and a newline. A terminal is set raw. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RECORD 64
#define BATCH 64

static volatile sig_atomic_t told_to_stop;

static void stop(int signal) { (void)signal; told_to_stop = 1; }

static void fill(char *to, unsigned long long number) {
    unsigned long long mixed = number * 6364136223846793005ULL + 1442695040888963407ULL;
    for (int i = 15; i >= 0; i--, number /= 10) to[i] = '0' + number % 10;
    for (int i = 16; i < RECORD - 1; i++) {
        mixed ^= mixed >> 13; mixed *= 0x9E3779B97F4A7C15ULL;
        to[i] = 'a' + (mixed >> 59) % 26;
    }
    to[RECORD - 1] = '\n';
}

static void put(const char *bytes, size_t size) {
    while (size) {
        ssize_t n = write(1, bytes, size);
        if (n < 0) continue;            /* EINTR: the record is finished before we stop */
        bytes += n;
        size -= n;
    }
}

int main(int argc, char **argv) {
    char batch[RECORD * BATCH];
    unsigned long long number = 0;
    if (argc == 3 && !strcmp(argv[1], "expect")) {
        for (unsigned long long count = strtoull(argv[2], 0, 10); number < count; number++) { fill(batch, number); put(batch, RECORD); }
        return 0;
    }
    if (argc < 3 || strcmp(argv[1], "write")) return 2;
    long per_second = argc > 3 ? atol(argv[3]) : 0;
    struct termios mode;
    if (!tcgetattr(1, &mode)) { cfmakeraw(&mode); tcsetattr(1, TCSANOW, &mode); }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, 0);
    int records = argc > 4 ? atoi(argv[4]) : per_second ? 1 : BATCH;
    if (records < 1 || records > BATCH) return 2;
    struct timespec pause = {0, per_second ? 1000000000L / per_second : 0};
    while (!told_to_stop) {
        for (int i = 0; i < records; i++) fill(batch + i * RECORD, number++);
        put(batch, RECORD * records);
        if (per_second) nanosleep(&pause, 0);
    }
    FILE *ledger = fopen(argv[2], "w");
    if (!ledger || fprintf(ledger, "%llu\n", number) < 0 || fclose(ledger)) return 3;
    return 7;
}
