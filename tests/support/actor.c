/* A program that writes a known stream and ends in a known way.
 *
 *   actor ENDING SIZE raw|cooked|pipe
 *
 * The stream is SIZE bytes of numbered lines of 16 bytes. What is written after the leader has ended, or after it has
 * closed its own fds, is LATE. Who waits for the leader's death waits for the end of a pipe that only it holds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LATE "late words\n"

static int death[2];

static void write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t count = write(fd, data, size);
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            _exit(99);
        if (count > 0) {
            data += count;
            size -= count;
        }
    }
}

static void write_lines(size_t from, size_t to)
{
    char *lines = malloc(to - from + 64);
    size_t first = from / 16, end = 0;
    for (size_t line = first; line * 16 < to; line++)
        end += sprintf(lines + end, "%015zx\n", line);
    write_all(1, lines + from % 16, to - from);
    free(lines);
}

static void leader_dies(void)
{
    char byte;
    close(death[1]);
    while (read(death[0], &byte, 1) > 0)
        ;
}

static void late_then_exit(void)
{
    leader_dies();
    write_all(1, LATE, strlen(LATE));
    _exit(0);
}

/* A grandchild that is ready: only then may its leader end. */
static void in_child(void (*prepare)(void), void (*act)(void))
{
    int ready[2];
    char byte;
    if (pipe(ready) || pipe(death))
        _exit(98);
    if (fork() == 0) {
        prepare();
        close(ready[0]);
        close(ready[1]);
        act();
    }
    close(ready[1]);
    while (read(ready[0], &byte, 1) > 0)
        ;
}

static void nothing(void) {}
static void ignore_hup(void) { signal(SIGHUP, SIG_IGN); }
static void own_group(void) { setpgid(0, 0); }
static void own_session(void) { setsid(); }
static void wait_for_ever(void) { for (;;) pause(); }

static void hold(void)
{
    leader_dies();
    write_all(1, LATE, strlen(LATE));
    wait_for_ever();
}

static void fork_again(void)
{
    ignore_hup();
    if (fork())
        _exit(0);
}

static void speak_through_dev_tty(int is_pipe)
{
    close(0);
    close(1);
    close(2);
    if (is_pipe)
        return;
    int tty = open("/dev/tty", O_WRONLY | O_NOCTTY);
    if (tty < 0)
        _exit(97);
    write_all(tty, LATE, strlen(LATE));
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 96;
    const char *ending = argv[1], *io = argv[3];
    size_t size = strtoul(argv[2], NULL, 10);
    if (!strcmp(io, "raw")) {
        struct termios modes;
        tcgetattr(0, &modes);
        cfmakeraw(&modes);
        tcsetattr(0, TCSANOW, &modes);
    }
    if (!strncmp(ending, "exec", 4)) {
        int left = ending[4] - '0';
        write_lines(size / 4 * (3 - left), left ? size / 4 * (4 - left) : size);
        if (!left)
            return 0;
        char next[] = "exec0";
        next[4] += left - 1;
        execl(argv[0], argv[0], next, argv[2], io, NULL);
        return 95;
    }
    write_lines(0, size);
    if (!strcmp(ending, "exit")) _exit(0);
    if (!strcmp(ending, "code")) _exit(7);
    if (!strcmp(ending, "killed")) kill(getpid(), SIGKILL);
    if (!strcmp(ending, "stopped")) kill(getpid(), SIGSTOP);
    if (!strcmp(ending, "child")) in_child(nothing, wait_for_ever);
    if (!strcmp(ending, "late")) in_child(ignore_hup, late_then_exit);
    if (!strcmp(ending, "holder")) in_child(ignore_hup, hold);
    if (!strcmp(ending, "group")) in_child(own_group, late_then_exit);
    if (!strcmp(ending, "session")) in_child(own_session, late_then_exit);
    if (!strcmp(ending, "double")) in_child(fork_again, late_then_exit);
    if (!strcmp(ending, "devtty")) speak_through_dev_tty(!strcmp(io, "pipe"));
    _exit(0);
}
