"""A supervisor of newer code, on trial: it must have begun within a time, or the one before it comes back.

    load the code beside ours ──> end the supervisor ──> fork one of the new code ──> InCharge: it stays
             │ cannot                                      └ dies, or says nothing
             └──> Refused, nothing has changed               └──> fork one of the code that was in use

What it came to is told to each supervisor that comes, until there is another trial.
"""

import os
from collections.abc import Callable, Sequence

from supervisor.keeper.last_words import in_one_line
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import Trial, TrialState, WaitStatus
from supervisor.keeper.table import NotPossibleError
from supervisor.keeper.templates import Templates

TRIAL_MAX_S = 20.0
_LAST_WORDS_BYTES = 8000


class SupervisorTrial:
    """`replace_supervisor` ends the one there is; the next is forked from the template in use by then."""

    def __init__(self, templates: Templates, loop: Loop, replace_supervisor: Callable[[], None]) -> None:
        self._templates = templates
        self._loop = loop
        self._replace_supervisor = replace_supervisor
        self._count = 0
        self.words = -1  # where the one on trial leaves its last
        self.outcome = Trial()

    @property
    def is_under_way(self) -> bool:
        return self._templates.is_loading or self.outcome.state is TrialState.UNDER_WAY

    def begin(self, argv: Sequence[str], on_refusal: Callable[[str], None]) -> None:
        if self.is_under_way:
            raise NotPossibleError("a trial is under way")
        self._templates.load(argv, self._begin, on_refusal)

    def _begin(self) -> None:
        self._count += 1
        count = self._count
        self._templates.put_on_trial()
        self.words = os.memfd_create("last-words", os.MFD_CLOEXEC)
        self.outcome = Trial(TrialState.UNDER_WAY)
        log("a supervisor of the installed code is on trial", level="info")
        self._loop.call_in(TRIAL_MAX_S, lambda: self._too_slow(count))
        self._replace_supervisor()

    def passed(self) -> None:
        if self.outcome.state is TrialState.UNDER_WAY:
            self._end(Trial(TrialState.PASSED))
            self._templates.keep()

    def supervisor_died(self, status: WaitStatus | None, *, was_replaced: bool) -> None:
        """Before the next one is forked."""
        if self._templates.is_loading:
            self._templates.fall_back()
            self.outcome = Trial(TrialState.FAILED, "the supervisor died while the installed code was being loaded")
        elif self.outcome.state is TrialState.UNDER_WAY and not was_replaced:
            self._failed(f"the new supervisor died before it had begun ({status})")

    def _too_slow(self, count: int) -> None:
        if count == self._count and self.outcome.state is TrialState.UNDER_WAY:
            self._failed(f"the new supervisor had not begun after {TRIAL_MAX_S:g} s")
            self._replace_supervisor()

    def _failed(self, why: str) -> None:
        said = in_one_line(os.pread(self.words, _LAST_WORDS_BYTES, 0).decode(errors="replace"))
        self._end(Trial(TrialState.FAILED, f"{why}: {said}" if said else why))
        self._templates.fall_back()
        log(f"{self.outcome.why}; the one before it comes back")

    def _end(self, outcome: Trial) -> None:
        self.outcome = outcome
        os.close(self.words)
        self.words = -1
