"""What went wrong, as one line for stderr and an exit code. Pure.

A line says what to do next. What nobody foresaw is a mistake of ours: it is one line, too, and an environment variable
shows the rest.
"""

import errno
import os
from typing import NamedTuple

import click

from ipc.errors import IpcError
from supervisor.cli.exits import Exit, Refusal
from supervisor.control.client import (
    NoAnswerInTimeError,
    NobodyAnswersError,
    NotPermittedError,
    RequestFailedError,
)

TRACEBACK = "RINGCTL_TRACEBACK"
_NO_SUCH = frozenset({"no_such_session", "no_such_group", "no_such_table", "not_permitted"})
_FULL = {
    errno.ENOSPC: "no space is left where this should go",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or fs.inotify.max_user_instances",
}


class Verdict(NamedTuple):
    message: str
    code: Exit


def verdict_on(error: BaseException) -> Verdict:
    match error:
        case Refusal():
            return Verdict(one_line(str(error)), error.code)
        case click.UsageError():
            return Verdict(one_line(_usage(error)), Exit.USAGE)
        case click.ClickException():
            return Verdict(one_line(error.format_message()), Exit.FAILED)
        case click.Abort() | KeyboardInterrupt():
            return Verdict("interrupted; what was asked for goes on: ringctl status shows how far it is", Exit.FAILED)
        case UnicodeEncodeError():
            return Verdict("names and texts must be UTF-8", Exit.USAGE)
        case RequestFailedError():
            return Verdict(one_line(str(error)), Exit.NO_SUCH if error.code in _NO_SUCH else Exit.FAILED)
        case NotPermittedError():
            return Verdict(f"{one_line(str(error))}; run ringctl as the user of the fleet, or as root", Exit.NO_SUCH)
        case NoAnswerInTimeError():
            return Verdict(
                f"{one_line(str(error))}; ringctl status shows how far it is, --timeout waits longer", Exit.FAILED
            )
        case NobodyAnswersError():
            return Verdict(f"{one_line(str(error))}; ringctl fleets lists what runs", Exit.NO_ANSWER)
        case PermissionError():
            return Verdict(f"{_named(error)}: not permitted; run ringctl as the user of the fleet", Exit.NO_SUCH)
        case OSError():
            return Verdict(f"{_named(error)}: {_FULL.get(error.errno or 0, error.strerror or error)}", Exit.FAILED)
        case IpcError():
            return Verdict(one_line(str(error)), Exit.FAILED)
        case _:
            what = f"{type(error).__name__}: {error}"
            return Verdict(
                f"{one_line(what)}: this is a mistake in ringctl; {TRACEBACK}=1 shows where it is", Exit.FAILED
            )


def one_line(text: str) -> str:
    return "; ".join(filter(None, (line.strip() for line in text.splitlines())))


def _usage(error: click.UsageError) -> str:
    command = error.ctx.info_name if error.ctx is not None and error.ctx.parent is not None else ""
    message = error.format_message().rstrip(".")
    return f"{message}; ringctl help {command} says how" if command else f"{message}; ringctl help lists the commands"


def _named(error: OSError) -> str:
    return os.fspath(error.filename) if isinstance(error.filename, str) else "standard output"
