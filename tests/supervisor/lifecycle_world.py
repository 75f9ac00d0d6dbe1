"""One session between a keeper that keeps the real one's rules and whatever happens to it; time only jumps.

The supervisor is the machine and its journal. It may be killed between writing a decision and any of its effects; the
next one has the journal's bytes, the keeper's row, and the reports that nobody acknowledged.
"""

from collections import deque
from collections.abc import Callable, Iterator

from msgspec import msgpack

from config.policies import RestartPolicy, StopSpec
from supervisor.lifecycle.effects import Acknowledge, Effect, Forget, KillTree, SendSignal, StartProgram
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.events import (
    Adopted,
    Condemned,
    DeadlinePassed,
    Event,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    Removed,
    RestartRequested,
    SightLost,
    SpecChanged,
    StartFailed,
    StartRequested,
    StopRequested,
    StopSignalSent,
)
from supervisor.lifecycle.journal import Checkpoint, Decision, Journal, Opening, decode_records, encode_record
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.reasons import Exited, Hung, Signalled, SpawnFailed
from supervisor.lifecycle.replay import recover
from supervisor.lifecycle.restart import within_window
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import Desired, Output, Program, SessionState

RULES = Rules(
    start_seconds=1.0,
    stop=StopSpec(timeout_s=3.0),
    restart=RestartPolicy(max=3, within_s=60.0, delay_s=1.0, max_delay_s=8.0),
)
IDLE = (SessionState.STOPPED, SessionState.BACKOFF, SessionState.EXITED, SessionState.FATAL)


class ModelKeeper:
    """Refuses what the keeper refuses, by failing the test: the machine must never ask for it."""

    def __init__(self) -> None:
        self.last_epoch = 0
        self.program = Program.GONE
        self.output = Output.NONE
        self.pid = 0
        self.started_s = 0.0
        self.reports: dict[int, ProgramExited | StartFailed] = {}
        self.seq = 0
        self.signals: list[int] = []
        self.inbox: deque[Event] = deque()

    @property
    def is_over(self) -> bool:
        return self.program is Program.GONE and self.output is not Output.FLOWING and not self.reports

    def start(self, epoch: int) -> None:
        assert self.is_over, f"epoch {self.last_epoch} is not over"
        assert epoch > self.last_epoch, f"epoch {epoch} was started before"
        self.last_epoch, self.program, self.output = epoch, Program.ASKED, Output.NONE

    def signal(self, epoch: int, signum: int) -> None:
        if epoch == self.last_epoch and self.program is Program.ALIVE:
            self.signals.append(signum)
            self.inbox.append(StopSignalSent(epoch))

    def exec(self, now_s: float) -> None:
        if self.program is Program.ASKED:
            self.program, self.output = Program.ALIVE, Output.FLOWING
            self.pid, self.started_s, self.signals = 1000 + self.last_epoch, now_s, []
            self.inbox.append(ProgramStarted(self.last_epoch, self.pid, now_s))

    def die(self, code: int, now_s: float, chance: float) -> None:
        if self.program is Program.ALIVE:
            reason = Exited(code) if code < 128 else Signalled("SIGKILL")
            self._report(ProgramExited(self.last_epoch, reason, now_s, self.seq + 1, chance))
        elif self.program is Program.ASKED:
            reason = SpawnFailed("ENOENT", "no such file")
            self._report(StartFailed(self.last_epoch, reason, now_s, self.seq + 1, chance))

    def _report(self, report: ProgramExited | StartFailed) -> None:
        self.seq += 1
        self.program = Program.GONE
        self.reports[self.seq] = report
        self.inbox.append(report)

    def forget(self) -> None:
        assert self.is_over
        self.last_epoch = 0
        self.inbox.clear()

    def end_output(self, *, refused: bool) -> None:
        if self.output is Output.FLOWING and (refused or self.program is Program.GONE):
            self.output = Output.REFUSED if refused else Output.ENDED
            self.inbox.append(OutputEnded(self.last_epoch, refused))

    def greet(self, chance: float) -> None:
        """A new supervisor: its predecessor's letters are lost, the reports are not."""
        self.inbox.clear()
        self.inbox.append(self.row(chance))
        self.inbox.extend(self.reports.values())

    def row(self, chance: float) -> Adopted:
        pid = self.pid if self.program is Program.ALIVE else 0
        report = max(self.reports, default=0)
        output = self.output if not self.is_over else Output.NONE
        return Adopted(self.last_epoch, self.program, output, pid, None, report, chance)


class World:
    def __init__(self, rules: Rules = RULES) -> None:
        self.now_s = 1000.0
        self.keeper = ModelKeeper()
        self.session = Session("web", rules)
        self.journal = Journal()
        self.bytes = encode_record(Opening(0.0, self.now_s, "boot")) + encode_record(
            Checkpoint(0.0, self.now_s, self.session)
        )
        self.dies_after: int | None = None  # effects, of the next decision
        self.ends: list[int] = []
        self.decisions: list[Decision] = []

    # ---- the supervisor

    def feed(self, event: Event) -> None:
        before = self.session
        try:
            self.session, effects = step(before, event, self.now_s)
        except RefusedError:
            assert isinstance(event, StartRequested | StopRequested | RestartRequested)
            return
        decision = Decision(0.0, self.now_s, event, self.session, effects)
        self.decisions.append(decision)
        self.bytes += self.journal.decided(decision)
        self._check(before, event, effects)
        done = effects if self.dies_after is None else effects[: self.dies_after]
        for effect in done:
            self._perform(effect)
        if self.dies_after is not None:
            self.dies_after = None
            self.crash(0.5)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case StartProgram(epoch=epoch):
                self.keeper.start(epoch)
            case SendSignal(epoch=epoch, signal=signum):
                self.keeper.signal(epoch, signum)
            case KillTree(epoch=epoch, at_s=at_s) if at_s <= self.now_s and epoch == self.keeper.last_epoch:
                self.keeper.die(137, self.now_s, 0.5)
            case Acknowledge(seq=seq):
                self.keeper.reports.pop(seq, None)
            case Forget():
                self._forget()

    def _forget(self) -> None:
        """And it comes again, as a session that nobody has seen before."""
        self.keeper.forget()
        self.ends = []
        self.session = Session("web", RULES)
        self.bytes += encode_record(Checkpoint(0.0, self.now_s, self.session))

    def crash(self, chance: float) -> None:
        """The session's memory is what the journal's bytes say."""
        decoded = decode_records(self.bytes)
        assert not decoded.skipped
        sessions = recover(decoded.records).sessions
        if "web" in sessions:
            self.session = sessions["web"]
        else:  # a row without a session: what was decided about it was not done any more
            self.keeper.reports.clear()
            self._forget()
        self.keeper.greet(chance)
        self.deliver()

    def lose_the_journal(self, chance: float) -> None:
        self.session = Session("web", RULES)
        self.bytes = encode_record(Checkpoint(0.0, self.now_s, self.session))
        self.ends, self.decisions = [], []
        self.keeper.greet(chance)
        self.deliver()

    # ---- the rest of the world

    def deliver(self) -> None:
        if self.keeper.inbox:
            self.feed(self.keeper.inbox.popleft())

    def look_again(self, chance: float) -> None:
        """Ask for the table when all letters are read, and decide nothing before it came."""
        while self.keeper.inbox:
            self.deliver()
        self.feed(self.keeper.row(chance))

    def pass_time(self, seconds: float) -> None:
        """To the deadline if it is nearer, else on."""
        deadline = self.session.deadline
        until_s = self.now_s + seconds
        if deadline is not None and deadline.at_s <= until_s:
            self.now_s = max(self.now_s, deadline.at_s)
            self.feed(DeadlinePassed())
        else:
            self.now_s = until_s

    # ---- what must always hold

    def _check(self, before: Session, event: Event, effects: tuple[Effect, ...]) -> None:
        after = self.session
        assert msgpack.decode(msgpack.encode(after), type=Session) == after
        assert (after.deadline is not None) == _needs_deadline(after), after
        assert not (after.state in IDLE and after.has_program), after
        assert after.run is None or after.run.epoch == after.epoch
        if after.state in (SessionState.STARTING, SessionState.RUNNING, SessionState.BACKOFF):
            assert after.desired is Desired.UP
        if after.state is SessionState.STOPPED:
            assert after.desired is Desired.DOWN
        assert sum(isinstance(effect, StartProgram) for effect in effects) <= 1
        if after.desired is Desired.DOWN:
            assert not any(isinstance(effect, StartProgram) for effect in effects), "wanted down, started"
        if after.state is SessionState.FATAL is not before.state:
            self._check_give_up(before, event)
        if before.has_program and (not after.has_program or after.epoch > before.epoch):
            assert before.epoch not in self.ends, f"the end of epoch {before.epoch} was acted on twice"
            self.ends.append(before.epoch)

    def _check_give_up(self, before: Session, event: Event) -> None:
        assert isinstance(event, ProgramExited | StartFailed | Adopted)
        policy = self.session.rules.restart
        at_s = self.now_s if isinstance(event, Adopted) else event.at_s
        is_full = len(within_window(before.history.times_s, at_s, policy)) >= policy.max
        assert is_full or isinstance(self.session.exit, SpawnFailed)

    def settle(self) -> None:
        """Everybody does what is asked, nothing goes wrong: where does it come to rest?"""
        for _ in range(200):
            if self.keeper.inbox:
                self.deliver()
            elif self.keeper.program is Program.ASKED:
                self.keeper.exec(self.now_s)
            elif self.keeper.signals and self.keeper.program is Program.ALIVE:
                self.keeper.die(0, self.now_s, 0.5)
            elif self.keeper.program is Program.GONE and self.keeper.output is Output.FLOWING:
                self.keeper.end_output(refused=False)
            elif self.session.deadline is not None:
                self.pass_time(1000.0)
            else:
                return
        raise AssertionError(f"never at rest: {self.session}")


def _needs_deadline(session: Session) -> bool:
    match session.state:
        case SessionState.BACKOFF | SessionState.STOPPING:
            return True
        case SessionState.STARTING:
            return session.run is not None and session.run.program is Program.ALIVE
        case _:
            return False


def _spec_changed(world: World, x: float) -> Event:
    old = world.session.rules
    restart = RestartPolicy(max=3, within_s=60.0, delay_s=x * 4, max_delay_s=8.0)
    return SpecChanged(Rules(2 * x, StopSpec(timeout_s=4 * x), old.orphans, restart, old.restart_on))


Action = Callable[[World, float], None]

ACTIONS: dict[str, Action] = {
    "start": lambda world, _: world.feed(StartRequested()),
    "stop": lambda world, _: world.feed(StopRequested()),
    "restart": lambda world, _: world.feed(RestartRequested()),
    "remove": lambda world, _: world.feed(Removed()),
    "respec": lambda world, x: world.feed(_spec_changed(world, x)),
    "condemn": lambda world, _: world.feed(Condemned(world.session.epoch, Hung("http"))),
    "lose sight": lambda world, _: world.feed(SightLost("?")),
    "look again": lambda world, x: world.look_again(x),
    "exec": lambda world, _: world.keeper.exec(world.now_s),
    "exit": lambda world, x: world.keeper.die(int(x * 3), world.now_s, x),
    "kill": lambda world, x: world.keeper.die(137, world.now_s, x),
    "end output": lambda world, _: world.keeper.end_output(refused=False),
    "refuse output": lambda world, _: world.keeper.end_output(refused=True),
    "deliver": lambda world, _: world.deliver(),
    "tell again": lambda world, _: world.keeper.inbox.extend(world.keeper.reports.values()),
    "wait": lambda world, x: world.pass_time(x * 6),
    "crash": lambda world, x: world.crash(x),
    "lose the journal": lambda world, x: world.lose_the_journal(x) if x < 0.1 else None,
    "die within": lambda world, x: setattr(world, "dies_after", int(x * 4)),
    "deadline": lambda world, _: world.feed(DeadlinePassed()),
}


def played(actions: list[tuple[str, float]], rules: Rules = RULES) -> World:
    world = World(rules)
    for name, x in actions:
        ACTIONS[name](world, x)
    return world


def sessions_seen(world: World) -> Iterator[Session]:
    return (decision.after for decision in world.decisions)
