"""What a session may use. None: not limited by us."""

from typing import Annotated, Final

from msgspec import Struct

from config.quantities import MEMORY, MemoryAmount
from config.tables import Applied, Key
from config.values import FLAG, PERCENT, CpuSet, amount, count, duration, or_unlimited

LIVE: Final = Applied.LIVE
_WEIGHT: Final = count(1, 10_000)
_RLIMIT: Final = or_unlimited(amount(0))


class Limits(Struct, frozen=True, kw_only=True):
    memory_max: Annotated[MemoryAmount | None, Key(MEMORY, LIVE, "more is an out-of-memory kill")] = None
    memory_high: Annotated[MemoryAmount | None, Key(MEMORY, LIVE, "above it the program is slowed down")] = None
    swap_max_bytes: Annotated[int | None, Key(amount(0), LIVE, "swap space")] = None
    cpu_percent: Annotated[float | None, Key(PERCENT, LIVE, "percent of one core: 150% is one and a half")] = None
    cpu_weight: Annotated[int | None, Key(_WEIGHT, LIVE, "share of a busy CPU; 100 is everybody's")] = None
    pids: Annotated[int | None, Key(count(1), LIVE, "processes and threads")] = None
    io_weight: Annotated[int | None, Key(_WEIGHT, LIVE, "share of a busy disk; 100 is everybody's")] = None
    nofile: Annotated[int | None, Key(or_unlimited(count(3)), LIVE, "open files of one process")] = None
    core_bytes: Annotated[int | None, Key(_RLIMIT, LIVE, "size of a core dump")] = None
    stack_bytes: Annotated[int | None, Key(_RLIMIT, LIVE, "stack of a thread")] = None
    address_space_bytes: Annotated[int | None, Key(_RLIMIT, LIVE, "address space of one process")] = None
    file_size_bytes: Annotated[int | None, Key(_RLIMIT, LIVE, "largest file written")] = None
    cpu_time_s: Annotated[float | None, Key(duration(1.0), LIVE, "CPU time of one process")] = None
    nice: Annotated[int | None, Key(count(-20, 19), LIVE, "priority; lower is more")] = None
    oom_score_adj: Annotated[int | None, Key(count(-1000, 1000), LIVE, "who goes first when memory is gone")] = None
    affinity: Annotated[tuple[int, ...] | None, Key(CpuSet(), LIVE, 'CPUs to run on: [0, 2] or "0-3"')] = None
    idle_s: Annotated[float | None, Key(duration(0.001), LIVE, "ends it after this long without output and input")] = (
        None
    )
    active_s: Annotated[float | None, Key(duration(0.001), LIVE, "ends it this long after its last start")] = None
    total_s: Annotated[float | None, Key(duration(0.001), LIVE, "ends it once its runs together took this long")] = None
    best_effort: Annotated[bool, Key(FLAG, LIVE, "what this machine cannot enforce is listed, and no error")] = False
