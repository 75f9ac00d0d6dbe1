"""The demo on a terminal: a picture each second, and after each key.

The terminal is lent to `attach` and taken back: between the two it is as it was before the demo, and a signal that
comes then ends the demo like any other.
"""

import re
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from supervisor.cli.attach import visit
from supervisor.cli.exits import Refusal
from supervisor.cli.ink import stdout_ink
from supervisor.cli.live_screen import LiveScreen, live_screen
from supervisor.cli.top_table import rows_between
from supervisor.cli.viewer.detach import DetachKey
from supervisor.cli.viewer.places import Place
from supervisor.cli.viewer.viewer import Why, Wishes
from supervisor.control.client import NobodyAnswersError, RequestFailedError
from supervisor.control.messages import Act, Outcome, SessionStatus, Verb
from supervisor.demo.balance import balance_lines, balances
from supervisor.demo.deeds import Deed, kill_service, kill_worker
from supervisor.demo.fleet import FIRST_SELECTED, DemoFleet
from supervisor.demo.look import Look, look_at
from supervisor.demo.news import news
from supervisor.demo.table import HELP, View, picture

_LOOK_EACH_S = 1.0
_LOOK_SOON_S = 0.3  # after a deed
_ORDER_MAX_S = 5.0
_KEY = re.compile(r"\x1b[\[O][A-Z]|.", re.DOTALL)
_STEPS = {"j": 1, "\x1b[B": 1, "\x1bOB": 1, "k": -1, "\x1b[A": -1, "\x1bOA": -1}
_NEWS_KEPT = 100


class Wish(Enum):
    LEAVE = auto()
    ATTACH = auto()  # the terminal is wanted for the selected session


@dataclass
class Watch:
    """What is on the screen, over all times that the terminal was lent."""

    fleet: DemoFleet
    before: Look
    now: Look
    until_s: float
    selected: int = 0
    shows_help: bool = False
    note: str = ""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_NEWS_KEPT))
    next_look_s: float = 0.0

    @property
    def session(self) -> SessionStatus:
        return self.now.report.sessions[self.selected]


def watch_live(fleet: DemoFleet, seconds: float | None) -> None:
    """Until the user leaves, or time is up. Raises KeyboardInterrupt when a signal ends it."""
    first = look_at(fleet.operator)
    names = [session.name for session in first.report.sessions]
    until_s = float("inf") if seconds is None else time.monotonic() + seconds
    watch = Watch(fleet, first, first, until_s, selected=names.index(FIRST_SELECTED))
    _say(watch, "a fleet of four programs: kill what serves them, they run on; ? says how")
    while True:
        with live_screen() as screen:
            wish = _show(screen, watch)
        if wish is Wish.LEAVE:
            return
        _attach(watch)


def _show(screen: LiveScreen, watch: Watch) -> Wish:
    while (now_s := time.monotonic()) < watch.until_s:
        if now_s >= watch.next_look_s:
            _look(watch)
        _draw(screen, watch)
        wait_s = min(watch.next_look_s, watch.until_s) - time.monotonic()
        for key in _KEY.findall(screen.wait_key(max(0.0, wait_s))):
            if (wish := _heed(watch, key)) is not None:
                return wish
    return Wish.LEAVE


def _look(watch: Watch) -> None:
    """A supervisor that is away for a moment leaves the last picture standing, and says so."""
    watch.next_look_s = time.monotonic() + _LOOK_EACH_S
    try:
        look, watch.note = look_at(watch.fleet.operator), ""
    except NobodyAnswersError as error:
        watch.note = f"no answer, trying again, q quits: {error}"
        return
    watch.before, watch.now = watch.now, look
    _say(watch, *news(watch.before.report, look.report))


def _draw(screen: LiveScreen, watch: Watch) -> None:
    look = watch.now
    below = HELP if watch.shows_help else tuple(watch.said)
    rates = rows_between(watch.before.sample, look.sample)
    view = View(look.report.fleet, look.report.sessions, rates, look.books, watch.selected, below, watch.note)
    screen.draw(picture(view, stdout_ink(), *screen.size()))


def _heed(watch: Watch, key: str) -> Wish | None:
    watch.shows_help = key == "?" and not watch.shows_help
    match key:
        case "q" | "Q" | "\x04":
            return Wish.LEAVE
        case "a" | "\n" | "\r":
            return Wish.ATTACH
        case "r":
            _restart(watch)
        case "w":
            _do(watch, kill_worker(watch.session.name))
        case "o":
            _do(watch, kill_service("router"))
        case "s":
            _do(watch, kill_service("supervisor"))
        case "v":
            _verify(watch)
        case _:
            watch.selected = max(0, min(watch.selected + _STEPS.get(key, 0), len(watch.now.report.sessions) - 1))
    return None


def _do(watch: Watch, deed: Deed) -> None:
    victims = deed.victims(watch.now.report)
    watch.fleet.kill(victims)
    _say(watch, f">>> {deed.what}" if victims else f"nobody to kill: {deed.what}")
    watch.next_look_s = time.monotonic() + _LOOK_SOON_S


def _restart(watch: Watch) -> None:
    """Nobody waits until it has started: the picture shows that."""
    _say(watch, f">>> ringctl restart {watch.session.name}")
    try:
        for answer in watch.fleet.operator.order(Act(1, Verb.RESTART, [watch.session.name], wait=False), _ORDER_MAX_S):
            if isinstance(answer, Outcome) and not answer.ok:
                _say(watch, f"{answer.session}: {answer.result}")
    except (NobodyAnswersError, RequestFailedError) as error:
        _say(watch, str(error))
    watch.next_look_s = time.monotonic() + _LOOK_SOON_S


def _verify(watch: Watch) -> None:
    _say(watch, ">>> ringctl verify all: every byte of the logs is read again")
    for balance in balances(watch.fleet.log_dir, watch.fleet.operator.fleet.record.ring_dir):
        _say(watch, *balance_lines(balance))


def _say(watch: Watch, *lines: str) -> None:
    clock = time.strftime("%H:%M:%S")
    watch.said.extend(f"{clock} {line}" for line in lines)


def _attach(watch: Watch) -> None:
    """A signal, or the loss of the terminal, ends the demo as it would have without it."""
    place = Place(watch.fleet.runtime_dir, watch.session.name)
    try:
        farewell = visit(place, Wishes(DetachKey(), how_ended=watch.fleet.operator.how_ended))
    except Refusal as refusal:
        _say(watch, str(refusal))
        return
    if farewell.why in {Why.TERMINAL_GONE, Why.SIGNALLED}:
        raise KeyboardInterrupt
    _say(watch, f"{farewell.why} {watch.session.name} {farewell.detail}".rstrip())
