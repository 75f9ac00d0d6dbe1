"""The table of `top`. Pure: two samples make rates, and rates make lines."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from supervisor.cli.ink import Ink
from supervisor.cli.process_usage import Usage
from supervisor.cli.session_names import shown_name
from supervisor.control.messages import FleetStatus, SessionStatus


class Order(StrEnum):
    NAME = "name"
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"
    RESTARTS = "restarts"


class Sample(Struct, frozen=True):
    at_s: float
    fleet: FleetStatus
    sessions: Sequence[SessionStatus]
    usage: Mapping[int, Usage]  # by pid
    lag_bytes: Mapping[str, int | None]


class TopRow(Struct, frozen=True):
    session: str
    state: str
    pid: int
    cpu_percent: float
    memory_bytes: int
    processes: int
    output_bytes_per_s: float
    lag_bytes: int | None
    lost_bytes: int
    restarts: int
    health: str
    uptime_s: float | None


def rows_between(before: Sample, now: Sample) -> list[TopRow]:
    elapsed_s = max(now.at_s - before.at_s, 1e-3)
    past = {session.name: session for session in before.sessions}
    return [_row(session, past.get(session.name), before, now, elapsed_s) for session in now.sessions]


def _row(session: SessionStatus, past: SessionStatus | None, before: Sample, now: Sample, elapsed_s: float) -> TopRow:
    usage = now.usage.get(session.pid, Usage())
    used = before.usage.get(session.pid)
    same_run = past is not None and past.epoch == session.epoch
    cpu_s = usage.cpu_s - used.cpu_s if used is not None and same_run else 0.0
    written = session.offset - past.offset if past is not None and same_run else session.offset if past else 0
    return TopRow(
        shown_name(session), session.state, session.pid, max(0.0, cpu_s / elapsed_s * 100), usage.memory_bytes,
        usage.processes, max(0.0, written / elapsed_s), now.lag_bytes.get(session.name), session.lost_bytes,
        session.restarts, session.health, session.uptime_s,
    )  # fmt: skip


def ordered(rows: Iterable[TopRow], order: Order) -> list[TopRow]:
    match order:
        case Order.NAME:
            return list(rows)
        case Order.CPU:
            return sorted(rows, key=lambda row: -row.cpu_percent)
        case Order.MEMORY:
            return sorted(rows, key=lambda row: -row.memory_bytes)
        case Order.OUTPUT:
            return sorted(rows, key=lambda row: -row.output_bytes_per_s)
        case Order.RESTARTS:
            return sorted(rows, key=lambda row: -row.restarts)


def top_lines(
    fleet: FleetStatus, rows: Sequence[TopRow], ink: Ink, *, width: int = 0, shown: slice = slice(None)
) -> list[str]:
    """Two lines of heading, then one for each session that is shown. `width`: of the terminal; 0: no limit."""
    names = max([20, *(len(row.session) for row in rows)])
    names = min(names, max(20, width - 72)) if width else names
    heading = (
        f"{'NAME':<{names}} {'STATE':<9} {'PID':>7} {'CPU%':>6} {'MEM':>7} {'OUT/s':>7} {'LAG':>7} {'LOST':>7} "
        f"{'RESTARTS':>8} {'UPTIME':>10}"
    )
    cut = width or None
    return [
        _summary(fleet, rows)[:cut],
        ink(heading[:cut], "reverse"),
        *(_line(row, names, ink) for row in rows[shown]),
    ]


def _line(row: TopRow, names: int, ink: Ink) -> str:
    state = ink.state(f"{row.state:<9}")
    lag = "-" if row.lag_bytes is None else amount(row.lag_bytes)
    return (
        f"{row.session[:names]:<{names}} {state} {row.pid or '-':>7} {row.cpu_percent:>6.1f} "
        f"{amount(row.memory_bytes):>7} {amount(row.output_bytes_per_s):>7} {lag:>7} {amount(row.lost_bytes):>7} "
        f"{row.restarts:>8} {_clock(row.uptime_s):>10}"
    )


def _summary(fleet: FleetStatus, rows: Sequence[TopRow]) -> str:
    states: dict[str, int] = {}
    for row in rows:
        states[row.state] = states.get(row.state, 0) + 1
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    cpu = sum(row.cpu_percent for row in rows)
    memory = amount(sum(row.memory_bytes for row in rows))
    output = amount(sum(row.output_bytes_per_s for row in rows))
    return (
        f"{fleet.name} {fleet.state}, {len(rows)} sessions{f': {said}' if said else ''}; "
        f"cpu {cpu:.0f}%, mem {memory}, out {output}/s"
    )


def amount(number: float) -> str:
    """At most six characters."""
    for unit in ("", "K", "M", "G", "T"):
        if number < 1000:
            return f"{number:.0f}{unit}" if not unit or number >= 100 else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.0f}P"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    days, rest = divmod(int(seconds), 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {clock}" if days else clock
