"""What changed between two looks, in the words of somebody who watches. Pure."""

from collections.abc import Iterator

from supervisor.cli.exit_words import exit_words
from supervisor.control.messages import SessionStatus, StatusReport


def news(before: StatusReport, now: StatusReport) -> list[str]:
    past = {session.name: session for session in before.sessions}
    return [*_of_fleet(before, now), *(line for one in now.sessions for line in _of_session(past.get(one.name), one))]


def _of_fleet(before: StatusReport, now: StatusReport) -> Iterator[str]:
    for name, pid in now.fleet.processes.items():
        was = before.fleet.processes.get(name, 0)
        if was and pid and pid != was:
            yield f"a new {name}: {was} -> {pid}"


def _of_session(past: SessionStatus | None, now: SessionStatus) -> Iterator[str]:
    if past is None:
        return
    if now.epoch != past.epoch:
        how = exit_words(now.exit) if now.exit else "ended"
        yield f"{now.name}: {how}; started again, run {now.epoch}"
    elif past.worker_pid and now.worker_pid and now.worker_pid != past.worker_pid and now.pid:
        yield f"a new worker for {now.name}: {past.worker_pid} -> {now.worker_pid}; program {now.pid} runs on"
