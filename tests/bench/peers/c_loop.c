/* The physical limit of a PTY session: one process that reads the master and writes the file, and nothing else.
 *
 *   c_loop FILE PROGRAM [ARGUMENT...] */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(9); }

int main(int argc, char **argv) {
    static char window[65536];
    int master;
    if (argc < 3) return 2;
    int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) die(argv[1]);
    pid_t program = forkpty(&master, NULL, NULL, NULL);
    if (program < 0) die("forkpty");
    if (program == 0) {
        execv(argv[2], argv + 2);
        die(argv[2]);
    }
    for (;;) {
        ssize_t size = read(master, window, sizeof window);
        if (size == 0 || (size < 0 && errno == EIO)) break;    /* EIO: the last slave was closed and all is drained */
        if (size < 0) die("read");
        for (ssize_t done = 0; done < size;) {
            ssize_t n = write(file, window + done, size - done);
            if (n < 0) die("write");
            done += n;
        }
    }
    waitpid(program, NULL, 0);
    return 0;
}
