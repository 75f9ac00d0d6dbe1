"""The system calls a log is written with, in one place that a test can stop at any of them."""

import fcntl
import os


class Kernel:
    close = staticmethod(os.close)
    flock = staticmethod(fcntl.flock)
    fstat = staticmethod(os.fstat)
    ftruncate = staticmethod(os.ftruncate)
    lseek = staticmethod(os.lseek)
    open = staticmethod(os.open)
    pread = staticmethod(os.pread)
    rename = staticmethod(os.rename)
    stat = staticmethod(os.stat)
    write = staticmethod(os.write)
    writev = staticmethod(os.writev)

    @staticmethod
    def listdir(directory_fd: int) -> list[str]:
        return os.listdir(directory_fd)


KERNEL = Kernel()
