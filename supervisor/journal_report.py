"""`ringvisord replay`: what the machine decides now, beside what the journal says it decided then. Pure but for a file.

Each decision is judged by itself, from the session as the journal had it before: one that differs does not make those
behind it differ.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from supervisor.lifecycle.effects import Announce, Effect
from supervisor.lifecycle.events import Event
from supervisor.lifecycle.journal import decode_records
from supervisor.lifecycle.replay import Replayed, replay
from supervisor.lifecycle.session import Session


class NoJournalError(Exception):
    pass


class Replay(Struct, frozen=True):
    replayed: tuple[Replayed, ...]
    damages: int  # pieces left out

    @property
    def differing(self) -> int:
        return sum(1 for one in self.replayed if not one.is_same)


def replay_file(path: str) -> Replay:
    """Of a directory its journal: the old part, then the new one."""
    parts = [f"{path}/journal.1", f"{path}/journal"] if os.path.isdir(path) else [path]
    found = [_read(part) for part in parts if len(parts) == 1 or os.path.exists(part)]
    decoded = [decode_records(data) for data in found]
    records = [record for part in decoded for record in part.records]
    if not records:
        raise NoJournalError(f"{path} holds no journal of ringvisord; it is <state_dir>/journal")
    damages = sum(len(part.skipped) + part.unreadable for part in decoded)
    return Replay(tuple(_told_once(replay(records))), damages)


def _told_once(replayed: Iterable[Replayed]) -> Iterator[Replayed]:
    """A new part begins with decisions that the old one has, too."""
    seen = set()
    for one in replayed:
        decision = one.decision
        key = decision.name, decision.wall_s, decision.now_s, type(decision.event)
        if key not in seen:
            seen.add(key)
            yield one


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# ---- for programs


def as_document(found: Replay) -> dict[str, Any]:
    decisions = list(map(_as_object, found.replayed))
    return {"version": 1, "decisions": decisions, "differing": found.differing, "damages": found.damages}


def _as_object(one: Replayed) -> dict[str, Any]:
    then = _outcome(one.decision.after, one.decision.effects)
    return {
        "time": _moment(one.decision.wall_s).isoformat(timespec="milliseconds"),
        "session": one.decision.name,
        "event": _tagged(one.decision.event),
        "from": one.before.state.value,
        "to": then["state"],
        "effects": then["effects"],
        "deadline": then["deadline"],
        "same": one.is_same,
        "now": None if one.is_same or one.after is None else _outcome(one.after, one.effects),
    }


def _outcome(after: Session, effects: tuple[Effect, ...]) -> dict[str, Any]:
    session: dict[str, Any] = msgspec.to_builtins(after)
    return {
        "state": after.state.value,
        "effects": list(map(_tagged, effects)),
        "deadline": session.get("deadline"),
        "session": session,
    }


def _tagged(struct: Event | Effect) -> dict[str, Any]:
    return {"type": type(struct).__name__, **_fields(struct)}


def _fields(struct: Event | Effect) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(struct, name)) for name in struct.__struct_fields__}


# ---- for people


def as_lines(found: Replay) -> Iterator[str]:
    for one in found.replayed:
        decision = one.decision
        moment = _moment(decision.wall_s).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        told = _told(one.before, decision.after, decision.effects, decision.now_s)
        yield f"{moment}  {decision.name}  {_named(decision.event)}  {told}"
        if not one.is_same:
            yield from _difference(one)
    yield f"{_count(len(found.replayed), 'decision')}, {found.differing or 'none'} decided differently now"


def _difference(one: Replayed) -> Iterator[str]:
    if one.after is None:
        yield "    DIFFERS: the machine refuses it now"
        return
    told = _told(one.before, one.after, one.effects, one.decision.now_s)
    yield f"    DIFFERS: now {told}"
    then, now = msgspec.structs.asdict(one.decision.after), msgspec.structs.asdict(one.after)
    for name in then:
        if then[name] != now[name]:
            yield f"        {name}: then {then[name]}, now {now[name]}"


def _told(before: Session, after: Session, effects: tuple[Effect, ...], now_s: float) -> str:
    move = str(before.state) if before.state is after.state else f"{before.state} -> {after.state}"
    done = ", ".join(_named(effect) for effect in effects if not isinstance(effect, Announce))
    deadline = after.deadline
    due = f"  {deadline.kind} due in {max(0.0, deadline.at_s - now_s):.3g} s" if deadline else ""
    return move + (f"  does {done}" if done else "") + due


def _named(struct: Event | Effect) -> str:
    fields = msgspec.structs.fields(struct)
    told = [
        (field.name, getattr(struct, field.name)) for field in fields if getattr(struct, field.name) != field.default
    ]
    return f"{type(struct).__name__}({', '.join(f'{name}={_word(value)}' for name, value in told)})"


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"<{type(value).__name__}>" if isinstance(value, Struct) and len(value.__struct_fields__) > 3 else str(value)


def _moment(wall_s: float) -> datetime:
    return datetime.fromtimestamp(wall_s).astimezone()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
