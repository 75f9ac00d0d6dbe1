"""`pty` and `pipe`: one or several sessions into files, against the limit and the peers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.bench import ours
from tests.bench.capture import Capture, Result
from tests.bench.fleet import Fleet, Io
from tests.bench.options import Options
from tests.bench.peers.c_loop import C_LOOP
from tests.bench.peers.cat import cat_behind
from tests.bench.peers.circus import CIRCUS
from tests.bench.peers.node_pty import NODE_PTY
from tests.bench.peers.script import SCRIPT
from tests.bench.peers.supervisord import SUPERVISORD
from tests.bench.peers.tmux import TMUX
from tests.bench.producer import Production, Shape, sized
from tests.bench.rounds import interleaved, median, present
from tests.bench.table import Cell, Json, print_table, ratio

HEADS = ("who", "MB/s", "min", "max", "of limit", "ours / it", "CPU s/GB", "others", "lost bytes", "version")
LIMIT_PIPE = cat_behind(1 << 20)  # the largest pipe that an unprivileged process may ask for


@dataclass(frozen=True, slots=True)
class Form:
    """One table: so many sessions, each writing so much in one shape."""

    io: Io
    shape: Shape
    sessions: int
    session_bytes: int

    @property
    def title(self) -> str:
        unit = "64 KB blocks" if self.shape is Shape.BLOCKS else "80-byte lines"
        number = "one session" if self.sessions == 1 else f"{self.sessions} sessions at once"
        return f"{self.io.value}: {unit}, {number}, {self.session_bytes * self.sessions / 1e6:.0f} MB to files"


def pty(options: Options) -> Json:
    contestants = (C_LOOP, ours.fleet(), TMUX, SCRIPT, NODE_PTY, SUPERVISORD)
    forms = (
        Form(Io.PTY, Shape.BLOCKS, 1, int(100e6 * options.scale)),
        Form(Io.PTY, Shape.LINES, 1, int(30e6 * options.scale)),
    )
    return {form.title: _compare(form, contestants, C_LOOP.name, options) for form in forms}


def pipe(options: Options) -> Json:
    contestants = (LIMIT_PIPE, ours.fleet(), cat_behind(1 << 16), SUPERVISORD, CIRCUS)
    forms = (
        Form(Io.PIPE, Shape.BLOCKS, 1, int(800e6 * options.scale)),
        Form(Io.PIPE, Shape.LINES, 1, int(100e6 * options.scale)),
        Form(Io.PIPE, Shape.BLOCKS, 10, int(80e6 * options.scale)),
        Form(Io.PIPE, Shape.LINES, 10, int(10e6 * options.scale)),
    )
    return {form.title: _compare(form, contestants, LIMIT_PIPE.name, options) for form in forms}


def _compare(form: Form, contestants: Sequence[Fleet | None], limit: str, options: Options) -> Json:
    able = present([one for one in contestants if one], options.wants)
    results = interleaved(form.title, able, options.runs, options.quiet_s, lambda one: _measure(form, one, options))
    versions = {one.name: one.version() for one in able}
    rates = {name: median(one.mb_per_s for one in found) for name, found in results.items()}
    rows = [_row(name, found, rates, limit, versions[name]) for name, found in results.items()]
    print_table(form.title, HEADS, rows)
    return {
        name: {"version": versions[name], "runs": [asdict(one) for one in found]} for name, found in results.items()
    }


def _measure(form: Form, fleet: Fleet, options: Options) -> Result:
    production = _production(form, terminal=form.io is Io.PTY and fleet is not SUPERVISORD)
    return Capture(production, form.sessions, form.io, options.work_dir).measure(fleet)


def _production(form: Form, *, terminal: bool) -> Production:
    return sized(form.shape, form.session_bytes, terminal=terminal)


def _row(name: str, found: Sequence[Result], rates: dict[str, float], limit: str, version: str) -> list[Cell]:
    mine = rates.get(ours.NAME)
    return [
        name,
        rates[name],
        min(one.mb_per_s for one in found),
        max(one.mb_per_s for one in found),
        ratio(rates[name], rates.get(limit)),
        ratio(mine, rates[name]) if mine else None,
        median(one.cpu_s_per_gb for one in found),
        median(one.others for one in found),
        _lost(found),
        version,
    ]


def _lost(found: Sequence[Result]) -> str:
    short = [one.short_bytes for one in found if one.short_bytes]
    wrong = sum(not one.intact and not one.short_bytes for one in found)
    span = " to ".join(f"{size:,}" for size in sorted({min(short), max(short)})) if short else ""
    parts = [f"short by {span} in {len(short)} of {len(found)}"] if short else []
    parts += [f"damaged in {wrong} of {len(found)}"] if wrong else []
    return ", ".join(parts) or "0"
