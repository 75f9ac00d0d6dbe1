"""Every interleaving of a few small processes over memory with store buffers, each of which may be killed at any step.

A process is a generator function that yields its steps (`Load`, `Store`, `Barrier`, `Ring`, `Wait`, …) and so reads
like the code it stands for. Its state is where it stands and its locals. So nothing may live anywhere else: each
`yield` is a statement of its own and stands in a `while`, never in a `for`.

Memory is a store buffer for each process before the words that all see, which hold numbers below 256. TSO (x86-64): a
buffer empties in order. PSO (as weak as AArch64 where stores are concerned): in order for each word only. A load sees
its own process's newest store; loads are not reordered. `Barrier` is membarrier: it empties everybody's buffer. What a
killed process had stored still arrives; it is started again once it has, and knows nothing.

Bells are sticky bits in the kernel, whose locks see to it that what was stored before a ring is seen after the wait.
`world` is what lies outside of memory, a pipe's other end, a directory, a log: one step at a time, and no step is lost.
"""

import dis
from collections import deque
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

Word = Hashable
World = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    word: Word


@dataclass(frozen=True, slots=True)
class Store:
    word: Word
    value: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks again and again, until the word is no longer what it was."""

    word: Word
    before: int


@dataclass(frozen=True, slots=True)
class Barrier:
    pass


@dataclass(frozen=True, slots=True)
class Ring:
    bell: str


@dataclass(frozen=True, slots=True)
class Wait:
    bell: str


@dataclass(frozen=True, slots=True)
class Act:
    """A system call: changes the world and, as `readv` does, a word of memory, in one step that no signal divides."""

    do: Callable[[World], Any]
    into: Word = None


Step = Load | Watch | Store | Barrier | Ring | Wait | Act
Steps = Generator[Step, Any, Any]


class Order(Enum):
    SC = auto()
    TSO = auto()
    PSO = auto()


@dataclass(frozen=True)
class Process:
    body: Callable[[], Steps]
    mortal: bool = True
    may_wait: bool = False  # when all is done it is found asleep, and that is right


@dataclass(frozen=True)
class Model:
    """`verdict` judges memory and world once nothing can happen any more: None, or what is wrong."""

    memory: dict[Word, int]
    world: World
    processes: dict[str, Process]
    verdict: Callable[[dict[Word, int], World], str | None]
    private: frozenset[Word] = frozenset()  # words that none but their writer and its successors read


@dataclass(frozen=True)
class Explored:
    states: int
    violation: str | None = None
    trace: tuple[str, ...] = ()


_RETURNED, _DEAD = -1, -2


@dataclass
class _Automaton:
    """A generator can neither be copied nor compared: its places are numbered, and found again by replay."""

    body: Callable[[], Steps]
    numbers: dict[Any, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    histories: list[tuple[Any, ...]] = field(default_factory=list)
    known: dict[tuple[int, Any], int] = field(default_factory=dict)

    def after(self, number: int, result: Any) -> int:
        place = self.known.get((number, result))
        if place is None:
            place = self.known[number, result] = self.at((*self.histories[number], result))
        return place

    def at(self, history: tuple[Any, ...]) -> int:
        generator = self.body()
        try:
            step = next(generator)
            for result in history:
                step = generator.send(result)
        except StopIteration:
            return _RETURNED
        key = _place(generator)
        if key not in self.numbers:
            self.numbers[key] = len(self.steps)
            self.steps.append(step)
            self.histories.append(history)
        return self.numbers[key]


def _place(generator: Any) -> tuple[Any, ...]:
    places = []
    while generator is not None:
        frame = generator.gi_frame
        assert all(one.opname != "FOR_ITER" for one in dis.get_instructions(frame.f_code)), "a loop keeps hidden state"
        places.append((frame.f_code, frame.f_lasti, tuple(sorted(frame.f_locals.items()))))
        generator = generator.gi_yieldfrom
    return tuple(places)


# Memory, world, rung bells, kills left, then for each process its place and its buffer: pairs of word number and value.
State = tuple[Any, ...]
_MEMORY, _WORLD, _BELLS, _KILLS, _PLACES = range(5)


class _Explorer:
    def __init__(self, model: Model, order: Order, kills: int) -> None:
        self.model = model
        self.order = order
        self.index = {word: index for index, word in enumerate(model.memory)}
        self.names = list(model.processes)
        self.processes = list(model.processes.values())
        self.automata = [_Automaton(process.body) for process in self.processes]
        places = [part for automaton in self.automata for part in (automaton.at(()), b"")]
        self.first: State = (
            bytes(model.memory.values()),
            tuple(model.world.values()),
            frozenset(),
            kills,
            *places,
        )

    def successors(self, state: State) -> list[tuple[str, State]]:
        found: list[tuple[str, State]] = []
        for who, name in enumerate(self.names):
            place, buffer = state[_PLACES + 2 * who], state[_PLACES + 2 * who + 1]
            if buffer:
                found += [(f"{name}: a store arrives", self._flushed(state, who, at)) for at in self._ripe(buffer)]
            if place >= 0:
                step = self.automata[who].steps[place]
                after = self._taken(state, who, place, step)
                if after is not None:
                    found.append((f"{name}: {step}", after))
            elif place == _DEAD and not buffer:
                found.append((f"{name} starts again", _with(state, who, self.automata[who].at(()), b"")))
        return found

    def kills(self, state: State) -> list[tuple[str, State]]:
        """To be killed before a load is the same as to be killed after it."""
        found: list[tuple[str, State]] = []
        for who, process in enumerate(self.processes if state[_KILLS] else ()):
            place = state[_PLACES + 2 * who]
            if place >= 0 and process.mortal and type(self.automata[who].steps[place]) is not Load:
                dead = _with(state, who, _DEAD, state[_PLACES + 2 * who + 1])
                found.append((f"{self.names[who]} is killed", (*dead[:_KILLS], state[_KILLS] - 1, *dead[_PLACES:])))
        return found

    def _ripe(self, buffer: bytes) -> list[int]:
        """Where in a buffer those stores stand that may arrive next."""
        if self.order is Order.TSO:
            return [0]
        return [at for at in range(0, len(buffer), 2) if buffer[at] not in buffer[:at:2]]

    def _taken(self, state: State, who: int, place: int, step: Step) -> State | None:
        result = None
        match step:
            case Load(word):
                result = self._seen(state, who, self.index[word])
            case Watch(word, before):
                result = self._seen(state, who, self.index[word])
                if result == before:
                    return None
            case Store(word, value):
                state = self._stored(state, who, word, value)
            case Barrier():
                for one in range(len(self.names)):
                    state = self._emptied(state, one)
            case Ring(bell):
                state = self._emptied(state, who)
                state = (*state[:_BELLS], state[_BELLS] | {bell}, *state[_KILLS:])
            case Wait(bell):
                if bell not in state[_BELLS]:
                    return None
                state = (*state[:_BELLS], state[_BELLS] - {bell}, *state[_KILLS:])
            case Act(do, into):
                world = dict(zip(self.model.world, state[_WORLD], strict=True))
                result = do(world)
                state = (state[_MEMORY], tuple(world.values()), *state[_BELLS:])
                if into is not None and result is not None:
                    state = self._stored(state, who, into, result)
        return _with(state, who, self.automata[who].after(place, result), state[_PLACES + 2 * who + 1])

    def _seen(self, state: State, who: int, index: int) -> int:
        buffer: bytes = state[_PLACES + 2 * who + 1]
        for at in range(len(buffer) - 2, -1, -2):
            if buffer[at] == index:
                return buffer[at + 1]
        return int(state[_MEMORY][index])

    def _stored(self, state: State, who: int, word: Word, value: int) -> State:
        place, buffer = state[_PLACES + 2 * who], state[_PLACES + 2 * who + 1]
        if self.order is Order.SC or word in self.model.private:
            index, memory = self.index[word], state[_MEMORY]
            return (memory[:index] + bytes((value,)) + memory[index + 1 :], *state[1:])
        return _with(state, who, place, buffer + bytes((self.index[word], value)))

    def _emptied(self, state: State, who: int) -> State:
        while state[_PLACES + 2 * who + 1]:
            state = self._flushed(state, who, 0)
        return state

    def _flushed(self, state: State, who: int, at: int) -> State:
        memory, buffer = state[_MEMORY], state[_PLACES + 2 * who + 1]
        index = buffer[at]
        memory = memory[:index] + buffer[at + 1 : at + 2] + memory[index + 1 :]
        return _with((memory, *state[1:]), who, state[_PLACES + 2 * who], buffer[:at] + buffer[at + 2 :])

    def judge(self, state: State) -> str | None:
        """Of a state in which nobody can move."""
        asleep = [
            name
            for who, (name, process) in enumerate(self.model.processes.items())
            if state[_PLACES + 2 * who] != _RETURNED and not process.may_wait
        ]
        if asleep:
            return f"asleep for ever: {', '.join(asleep)}"
        memory = dict(zip(self.model.memory, state[_MEMORY], strict=True))
        return self.model.verdict(memory, dict(zip(self.model.world, state[_WORLD], strict=True)))


def _with(state: State, who: int, place: int, buffer: bytes) -> State:
    first = _PLACES + 2 * who
    return (*state[:first], place, buffer, *state[first + 2 :])


def explore(model: Model, order: Order, *, kills: int = 0) -> Explored:
    """Breadth first: the trace of a violation is one of the shortest."""
    explorer = _Explorer(model, order, kills)
    origin: dict[State, tuple[State | None, str]] = {explorer.first: (None, "start")}
    queue = deque([explorer.first])
    while queue:
        state = queue.popleft()
        try:
            following = explorer.successors(state)
            problem = None if following else explorer.judge(state)
        except AssertionError as error:
            following, problem = [], str(error) or "an assertion does not hold"
        if problem is not None:
            return Explored(len(origin), problem, _trace(origin, state))
        for label, after in following + explorer.kills(state):
            if after not in origin:
                origin[after] = (state, label)
                queue.append(after)
    return Explored(len(origin))


def _trace(origin: dict[State, tuple[State | None, str]], state: State | None) -> tuple[str, ...]:
    labels = []
    while state is not None:
        state, label = origin[state]
        labels.append(label)
    return tuple(reversed(labels))
