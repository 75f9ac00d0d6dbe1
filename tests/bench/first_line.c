/* first_line FIFO: says "pid nanoseconds" (CLOCK_MONOTONIC) as soon as it runs, to stdout and to the FIFO, then waits. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char line[64];

    if (argc != 2)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(line, sizeof line, "%d %lld\n", (int)getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    int fifo = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fifo < 0 || write(1, line, strlen(line)) < 0 || write(fifo, line, strlen(line)) < 0)
        return 1;
    for (;;)
        pause();
}
