"""The balance: what the programs noted against what ringvisor has.

bytes out    the log of each writer and each echo, byte for byte, gaps stated and of their exact size
bytes in     each typed record that went in was read once, in order; one in doubt at most once; nothing else
ends         each epoch ended once, as its program says, in the journal; each note belongs to an epoch that exited
restarts     as many as epochs, in `status`
"""

import contextlib
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ipc.log_reader import read_stream
from ipc.log_verify import LogReport, verify_log
from supervisor.control.messages import SessionStatus
from supervisor.lifecycle.effects import Announce
from supervisor.lifecycle.journal import Decision, decode_records
from supervisor.lifecycle.reasons import Exited, ExitReason, Stopped, Unknown
from supervisor.lifecycle.states import SessionState
from tests.chaos.books import RECORD_BYTES
from tests.chaos.weather_fleet import Fleet
from tests.chaos.weather_typist import Line, record

GREETING_BYTES = 64
_OVERLAP_BYTES = 1 << 16
_ENDED = (SessionState.STOPPED, SessionState.EXITED, SessionState.BACKOFF, SessionState.FATAL)
_FNV_START, _FNV_PRIME = 14695981039346656037, 1099511628211


class Books:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._inode, self._offset = 0, 0
        self._ends: dict[str, dict[int, dict[float, ExitReason]]] = defaultdict(lambda: defaultdict(dict))
        self._doubtful: dict[str, set[int]] = defaultdict(set)  # epochs at whose time the journal was damaged
        self._lacking: dict[str, int] = {}
        self._was_damaged = False

    # --- the journal, as it grows ---

    def read_journal(self) -> None:
        path = f"{self._fleet.directory}/state/journal"
        with contextlib.suppress(FileNotFoundError):  # amid a change of parts: the next look finds it
            if os.stat(path).st_ino != self._inode and self._inode:
                self._read(f"{path}.1", self._inode)
            self._read(path, 0)

    def _read(self, path: str, wanted_inode: int) -> None:
        """From where the last look ended, with an overlap: a frame may have been half there."""
        with open(path, "rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if wanted_inode and inode != wanted_inode:
                return
            if inode == self._inode:
                file.seek(max(0, self._offset - _OVERLAP_BYTES))
            data = file.read()
            self._inode, self._offset = inode, file.tell()
        for found in decode_records(data).records:
            if isinstance(found, Decision):
                self._note(found)

    def _note(self, decision: Decision) -> None:
        for news in decision.effects:
            if isinstance(news, Announce) and news.exit and news.state in _ENDED and news.was not in _ENDED:
                self._ends[decision.name][news.epoch][decision.now_s] = news.exit

    def journal_damaged(self) -> None:
        """What was under way just now may be told twice, or as unknown; and restarts that were counted may be lost."""
        self._was_damaged = True
        for session in self._fleet.exiters:
            last = max(self._ends[session], default=0)
            self._doubtful[session] |= set(range(max(1, last - 1), last + 3))

    # --- restarts ---

    def count_restarts(self, statuses: dict[str, SessionStatus]) -> list[str]:
        """Each epoch but the first is a restart, as is the one that is about to begin."""
        wrong = []
        lacking = {name: _lacking(statuses[name]) for name in self._fleet.exiters}
        for name, lacks in lacking.items():
            before = self._lacking.get(name, 1)
            if lacks < before or (lacks > before and not self._was_damaged):
                wrong.append(f"{name}: {statuses[name]}: {lacks} more epochs than restarts, there were {before}")
        if not wrong:
            self._lacking = lacking
            self._was_damaged = False
        return wrong

    # --- ends ---

    def settle_ends(self, statuses: dict[str, SessionStatus]) -> Iterator[str]:
        self.read_journal()
        for name in self._fleet.exiters:
            with open(self._fleet.ledger(name)) as file:
                noted = [int(line) for line in file]
            if noted != sorted(set(noted)):
                yield f"{name}: an epoch ran twice: {noted}"
            yield from self._settle_ends_of(name, set(noted), statuses[name].epoch)

    def _settle_ends_of(self, name: str, noted: set[int], last: int) -> Iterator[str]:
        salt = int(name.rpartition("-")[2])
        for epoch in range(1, last + 1):
            reasons = [*self._ends[name].get(epoch, {}).values()]
            is_doubtful = epoch in self._doubtful[name]
            if len(reasons) != 1 and not is_doubtful:
                yield f"{name}: epoch {epoch} ended {len(reasons)} times: {reasons}"
            wanted = Exited((31 * epoch + salt) % 256)
            for reason in reasons:
                is_right = reason == wanted if epoch in noted else not isinstance(reason, Exited)
                is_excused = isinstance(reason, Unknown) and is_doubtful
                is_ours = isinstance(reason, Stopped) and epoch == last
                if not (is_right or is_excused or is_ours):
                    yield f"{name}: epoch {epoch}, noted: {epoch in noted}, is told as {reason}, not {wanted}"

    @property
    def ends(self) -> int:
        return sum(len(epochs) for epochs in self._ends.values())

    def how_ended(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for name in self._fleet.exiters:
            for told in self._ends[name].values():
                for reason in told.values():
                    found[type(reason).__name__] += 1
        return dict(found)

    def settle_steady_ends(self, statuses: dict[str, SessionStatus]) -> Iterator[str]:
        """Told to stop by us, in their first epoch. A program writes its ledger last."""
        for name in self._fleet.steady:
            one = statuses[name]
            if one.epoch != 1 or one.restarts or one.exit is None or not os.path.exists(self._fleet.ledger(name)):
                yield f"{name}: epoch {one.epoch}, {one.restarts} restarts, {one.state}, {one.exit}"

    # --- bytes ---

    def report(self, name: str) -> LogReport:
        return verify_log(self._fleet.log_dir, f"{name}.log")

    def settle_writer(self, name: str) -> tuple[int, int, list[str]]:
        """Bytes written, bytes of stated gaps, and what is wrong."""
        written = int(Path(self._fleet.ledger(name)).read_text()) * RECORD_BYTES
        report = self.report(name)
        wrong = [f"{name}: {problem}" for problem in report.problems]
        with subprocess.Popen(
            [self._fleet.source, "expect", str(written // RECORD_BYTES)], stdout=subprocess.PIPE
        ) as source:
            assert source.stdout
            at = 0
            for offset, data in read_stream(self._fleet.log_dir, f"{name}.log", 1):
                source.stdout.read(offset - at)
                if offset < at or source.stdout.read(len(data)) != data:
                    wrong.append(f"{name}: wrong bytes at {offset}, {at} were read before")
                    break
                at = offset + len(data)
            source.kill()
        gaps = sum(gap.end - gap.start for gap in report.gaps)
        if report.count + gaps != written:
            wrong.append(f"{name}: wrote {written}, logged {report.count}, gaps {gaps}")
        return written, gaps, wrong

    def settle_echo(self, line: Line) -> tuple[int, int, list[str]]:
        """Bytes read, bytes of stated gaps, and what is wrong."""
        name = line.session
        count, checksum = map(int, Path(self._fleet.ledger(name)).read_text().split())
        report = self.report(name)
        wrong = [f"{name}: {problem}" for problem in [*report.problems, *line.refusals]]
        gaps = sum(gap.end - gap.start for gap in report.gaps)
        if report.count + gaps != count + GREETING_BYTES:
            wrong.append(f"{name}: read {count} bytes, logged {report.count}, gaps {gaps}")
        if not line.least_bytes <= count <= line.most_bytes:
            wrong.append(f"{name}: read {count} bytes of {line.least_bytes} to {line.most_bytes} that went in")
        if not gaps:
            data = b"".join(data for _, data in read_stream(self._fleet.log_dir, f"{name}.log", 1))[GREETING_BYTES:]
            wrong += [f"{name}: {words}" for words in _settle_records(line, data, checksum)]
        return count, gaps, wrong


def _lacking(one: SessionStatus) -> int:
    return one.epoch - one.restarts + (one.state == SessionState.BACKOFF)


def _settle_records(line: Line, data: bytes, checksum: int) -> Iterator[str]:
    if _fnv(data) != checksum:
        yield "the log is not what the program read"
    came = []
    for at in range(0, len(data), RECORD_BYTES):
        piece = data[at : at + RECORD_BYTES]
        number = int(piece[:16]) if piece[:16].isdigit() else -1
        if piece != record(line.session, number):
            yield f"at byte {at} the program read {piece!r}"
            return
        came.append(number)
    if came != sorted(set(came)):
        yield f"records were read twice, or out of order: {_disorder(came)}"
    if lost := line.gone_in.difference(came):
        yield f"records that went in were not read: {sorted(lost)}"
    if foreign := set(came) - line.gone_in - line.in_doubt:
        yield f"records that did not go in were read: {sorted(foreign)}"


def _disorder(came: list[int]) -> list[tuple[int, int]]:
    return [(one, after) for one, after in pairwise(came) if after <= one][:5]


def _fnv(data: bytes) -> int:
    found = _FNV_START
    for byte in data:
        found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return found
