"""Runs the demo, and leaves nothing behind however it ends."""

import contextlib
import errno
import signal
import sys
import tempfile
from collections.abc import Iterator

import click

from supervisor.demo.balance import balance_lines, balances
from supervisor.demo.fleet import DemoFleet, NotStartedError, running_fleet
from supervisor.demo.in_lines import watch_lines
from supervisor.demo.live import watch_live

_LINES_FOR_S = 12.0
_ENDS_IT = (signal.SIGTERM, signal.SIGHUP)
_CLEANING_UP = (*_ENDS_IT, signal.SIGINT)


def run_demo(seconds: float | None) -> int:
    """0: every byte is where it should be. `seconds`: as long as the user likes on a terminal, else for a while."""
    with tempfile.TemporaryDirectory(prefix="ringvisor-demo-", ignore_cleanup_errors=True) as directory, _signals():
        try:
            with running_fleet(directory) as fleet:
                _watch(fleet, seconds)
                _ignore_signals()
                _say(">>> ringctl shutdown")
                fleet.shut_down()
            return 0 if _compare(fleet.log_dir) else 1
        except NotStartedError as error:
            click.echo(str(error), err=True)
            return 1
        except KeyboardInterrupt:  # before there was anything to see
            return 1
        finally:
            _ignore_signals()


def _watch(fleet: DemoFleet, seconds: float | None) -> None:
    with contextlib.suppress(KeyboardInterrupt), _terminal_may_go():
        if sys.stdin.isatty() and sys.stdout.isatty():
            watch_live(fleet, seconds)
        else:
            watch_lines(fleet, _LINES_FOR_S if seconds is None else seconds)


@contextlib.contextmanager
def _terminal_may_go() -> Iterator[None]:
    """Its SIGHUP comes, too, but not always first."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """They end it like Ctrl-C; C-\\ is the key that leaves a session, and pressed once too often it does nothing."""
    before = {number: signal.getsignal(number) for number in (*_CLEANING_UP, signal.SIGQUIT)}
    for number in _ENDS_IT:
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGQUIT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """The end takes no longer than the programs take to stop."""
    for number in _CLEANING_UP:
        signal.signal(number, signal.SIG_IGN)


def _compare(log_dir: str) -> bool:
    _say("=== the books: every log read again, and checked against its index")
    found = list(balances(log_dir))
    for balance in found:
        for line in balance_lines(balance):
            _say(f"  {line}")
    return all(balance.holds for balance in found) and any(balance.logged_bytes for balance in found)


def _say(line: str) -> None:
    """To a terminal that may be gone."""
    with contextlib.suppress(OSError):
        click.echo(line)
