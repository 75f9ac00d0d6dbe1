"""The prompt of a bare `ringctl`: supervisorctl's, with its words, and exit code 0 whatever the commands came to.

Each line is a command line of its own, with a connection of its own: a ringvisord that is started again between two
commands is not noticed.
"""

import cmd
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator

import click

from supervisor.cli.catalogue import COMMANDS
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator
from supervisor.cli.output import write_lines
from supervisor.cli.session_names import completions, groups_of
from supervisor.control.client import NobodyAnswersError, RequestFailedError
from supervisor.control.messages import SessionStatus

PROMPT = "ringctl> "
_LEAVING = frozenset({"quit", "exit", "EOF"})
_QUESTIONS = {
    "shutdown": "Really shut the remote supervisord process down y/N? ",
    "reload": "Really restart the remote supervisord process y/N? ",
}
_OF_GROUPS = frozenset({"add", "remove", "update"})
_OF_COMMANDS = frozenset({"help"})
_HISTORY_LINES = 1000


def run_prompt(operator: Operator, root: click.Command) -> Exit:
    options = _options(operator)

    def run(words: list[str]) -> None:
        with contextlib.suppress(SystemExit):
            root.main([*options, *words])

    try:
        with _line_editing(operator):
            run(["status"])
            while _obey(input(PROMPT), run):
                pass
    except (EOFError, KeyboardInterrupt):
        write_lines([""])
    return Exit.DONE


def _obey(line: str, run: Callable[[list[str]], None]) -> bool:
    """False: leave."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        write_lines([f"*** {error}: {line}"])
        return True
    match words:
        case []:
            pass
        case [word, *_] if word in _LEAVING:
            write_lines([""])
            return False
        case ["help" | "?"]:
            _list_topics()
        case ["?", *topics]:
            run(["help", *topics])
        case [word, *_] if word not in COMMANDS:
            write_lines([f"*** Unknown syntax: {line}"])
        case [word, *_]:
            if word not in _QUESTIONS or input(_QUESTIONS[word]).lower().startswith("y"):
                run(words)
    return True


def _list_topics() -> None:
    topics = sorted([*COMMANDS, "exit", "quit"])
    cmd.Cmd(stdout=sys.stdout).print_topics("\ndefault commands (type help <topic>):", topics, 15, 80)


def _options(operator: Operator) -> list[str]:
    wanted = operator.wanted
    given = {"-c": wanted.config, "-s": wanted.socket, "-n": wanted.fleet}
    return [word for flag, value in given.items() if value is not None for word in (flag, value)]


# --- readline ---


@contextlib.contextmanager
def _line_editing(operator: Operator) -> Iterator[None]:
    """History and completion, where this Python has them."""
    try:
        import readline  # noqa: PLC0415 - not every Python has it
    except ImportError:
        yield
        return
    completer = Completer(operator)
    readline.set_completer_delims(" \t\n")
    readline.set_completer(lambda text, number: completer(readline.get_line_buffer(), text, number))
    readline.parse_and_bind("tab: complete")
    path = history_path(dict(os.environ), os.path.expanduser("~"))
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_completer(None)
        readline.set_history_length(_HISTORY_LINES)
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            readline.write_history_file(path)


def history_path(env: dict[str, str], home: str) -> str:
    return f"{env.get('XDG_STATE_HOME') or f'{home}/.local/state'}/ringvisor/ringctl_history"


class Completer:
    """Asks once for each word that is completed, however many answers there are."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._found: list[str] = []

    def __call__(self, line: str, text: str, number: int) -> str | None:
        if number == 0:
            self._found = self._candidates(line, text)
        return f"{self._found[number]} " if number < len(self._found) else None

    def _candidates(self, line: str, text: str) -> list[str]:
        words = line[: len(line) - len(text)].split() if text else line.split()
        if not words or words[0] in _OF_COMMANDS:
            return sorted(word for word in [*COMMANDS, "exit", "quit"] if word.startswith(text))
        sessions = self._sessions()
        if words[0] in _OF_GROUPS:
            return [group for group in groups_of(sessions) if group.startswith(text)]
        return completions(sessions, text)

    def _sessions(self) -> list[SessionStatus]:
        try:
            return self._operator.status().sessions
        except (NobodyAnswersError, RequestFailedError, Refusal, OSError):
            return []
