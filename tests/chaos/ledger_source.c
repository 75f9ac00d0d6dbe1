/* Programs that keep their own books: they note what they wrote, read or ended with.
 *
 *   ledger_source write LEDGER [PER_SECOND [RECORDS]]
 *                                             records on stdout until SIGTERM, so many writes of so many; then LEDGER gets
 *                                             their number; exit code 7
 *   ledger_source expect COUNT                the same COUNT records, for whoever checks
 *   ledger_source echo LEDGER                 a greeting, then every byte read is written back until SIGTERM; then LEDGER
 *                                             gets their number and their FNV-1a hash; exit code 7
 *   ledger_source exit NOTES SALT LONGEST_MS  says its epoch, lives for a while, appends the epoch to NOTES, and exits
 *                                             with (31 * epoch + SALT) % 256
 *
 * A record is 64 bytes: its number in 16 digits, 47 letters that follow from the number, and a newline. A terminal is set raw. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RECORD 64
#define BATCH 64
#define GREETING "ready: what is typed here comes back as it is, byte for byte ..\n"

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
        if (n < 0 && errno != EINTR) return; /* nobody takes it: it is lost, and counted as written */
        if (n < 0) continue;            /* the record is finished before we stop */
        bytes += n;
        size -= n;
    }
}

static void set_raw(void) {
    struct termios mode;
    if (!tcgetattr(1, &mode)) { cfmakeraw(&mode); tcsetattr(1, TCSANOW, &mode); }
}

static int echo(const char *path) {
    char piece[4096];
    unsigned long long count = 0, hash = 14695981039346656037ULL;
    struct pollfd input = {0, POLLIN, 0};
    struct sigaction action = {.sa_handler = stop};
    sigset_t held, unheld;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &unheld);
    sigaction(SIGTERM, &action, 0);
    set_raw();
    put(GREETING, RECORD);
    while (!told_to_stop) {
        if (ppoll(&input, 1, 0, &unheld) < 0) continue;
        ssize_t size = read(0, piece, sizeof piece);
        if (size <= 0) return 4;        /* nobody hangs up on us while we run */
        for (ssize_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)piece[i]) * 1099511628211ULL;
        count += size;
        put(piece, size);
    }
    FILE *ledger = fopen(path, "w");
    if (!ledger || fprintf(ledger, "%llu %llu\n", count, hash) < 0 || fclose(ledger)) return 3;
    return 7;
}

static int live_and_exit(const char *notes, unsigned salt, unsigned longest_ms) {
    unsigned long epoch = strtoul(getenv("RINGVISOR_EPOCH"), 0, 10);
    unsigned lives_ms = epoch * 2654435761u % longest_ms;
    struct timespec life = {lives_ms / 1000, lives_ms % 1000 * 1000000L};
    char note[32];
    int size = snprintf(note, sizeof note, "%lu\n", epoch);
    set_raw();
    put(note, size);
    nanosleep(&life, 0);
    int file = open(notes, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, note, size) != size) return 3;
    return (31 * epoch + salt) % 256;
}

int main(int argc, char **argv) {
    char batch[RECORD * BATCH];
    unsigned long long number = 0;
    if (argc == 3 && !strcmp(argv[1], "expect")) {
        for (unsigned long long count = strtoull(argv[2], 0, 10); number < count; number++) { fill(batch, number); put(batch, RECORD); }
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "echo")) return echo(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "exit")) return live_and_exit(argv[2], atoi(argv[3]), atoi(argv[4]));
    if (argc < 3 || strcmp(argv[1], "write")) return 2;
    long per_second = argc > 3 ? atol(argv[3]) : 0;
    set_raw();
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
