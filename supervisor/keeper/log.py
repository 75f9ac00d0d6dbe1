"""The keeper's own words go to stderr, line by line: it has no log file and needs none."""

import contextlib
import os
import traceback


def log(line: str) -> None:
    with contextlib.suppress(OSError):  # a closed or full stderr is no reason to stop
        os.write(2, f"ringvisord keeper[{os.getpid()}]: {line}\n".encode(errors="backslashreplace"))


def log_fault(error: BaseException) -> None:
    log("".join(traceback.format_exception(error)).rstrip())
