"""`ringvisord`: nothing comes before the signals are held back.

A PID 1 never gets a signal that it does not handle, unless it blocks it: TERM during the imports, which take far longer
than all else here, would be lost. What comes before this line, while the interpreter itself starts, is.
"""

import signal

_HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def ringvisord() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    from supervisor.main_process import be_ringvisord  # noqa: PLC0415 - not a moment earlier

    be_ringvisord()


if __name__ == "__main__":
    ringvisord()
