"""A keeper that is killed at one line of its own: `python -m tests.support.dying_keeper LINE [FUNCTION] INSTALLATION`.

Lines are counted as they are executed, in the modules that take over a fleet, from the first call of FUNCTION on; its
children are left alone.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

from childproc import exit_status, identity, worker_record
from supervisor.keeper import adopting, adoption, borrowing, epochs, keeper, process, records, services, wards

_MODULES = (
    adopting,
    adoption,
    borrowing,
    epochs,
    exit_status,
    identity,
    keeper,
    process,
    records,
    services,
    wards,
    worker_record,
)
_FILES = frozenset(str(module.__file__) for module in _MODULES)


def main() -> int:
    _, line, *function, installation = sys.argv
    own_pid, left, counting = os.getpid(), int(line), not function

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left, counting
        if frame.f_code.co_filename not in _FILES:
            return None
        counting = counting or frame.f_code.co_qualname in function
        if not counting:
            return trace
        if event == "line" and os.getpid() == own_pid:
            left -= 1
            if left <= 0:
                os.kill(own_pid, signal.SIGKILL)
        return trace

    sys.settrace(trace)
    return process.main([sys.argv[0], installation])


if __name__ == "__main__":
    sys.exit(main())
