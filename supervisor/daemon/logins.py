"""What login shells say, asked once for each user, while everything else goes on.

A shell that hangs holds back the sessions of its user that asked for `login_env`, for as long as it may take, and no
other. Then these fail with the reason, and follow their restart policy: without the PATH that they asked for they would
fail too, with a riddle. A failure is remembered for a minute, so that a thousand sessions of that user do not ask a
thousand times; an answer until the fleet file is read again.
"""

from collections import deque
from collections.abc import Callable

from config.accounts import Account
from config.login_shell import Asking, LoginShellError
from supervisor.keeper.loop import Loop

AT_ONCE = 4
TIMEOUT_S = 10.0
_FAILURE_KEPT_S = 60.0
_Key = tuple[int, str]


class Logins:
    def __init__(self, loop: Loop, timeout_s: float = TIMEOUT_S) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._known: dict[_Key, dict[str, str] | LoginShellError] = {}
        self._waiting: dict[_Key, list[Callable[[], None]]] = {}
        self._queue: deque[Account] = deque()
        self._running = 0

    def knows(self, account: Account) -> bool:
        return _key(account) in self._known

    def environment(self, account: Account) -> dict[str, str]:
        known = self._known[_key(account)]
        if isinstance(known, LoginShellError):
            raise known
        return known

    def ask(self, account: Account, then: Callable[[], None]) -> None:
        """`then` is called from the loop when it is known."""
        waiting = self._waiting.setdefault(_key(account), [])
        waiting.append(then)
        if len(waiting) == 1:
            self._queue.append(account)
            self._loop.call_in(0, self._start_next)

    def forget(self) -> None:
        """Ask again: profiles change."""
        self._known.clear()

    def _start_next(self) -> None:
        while self._queue and self._running < AT_ONCE:
            account = self._queue.popleft()
            try:
                asking = Asking(account)
            except LoginShellError as failure:
                self._learn(account, failure)
                continue
            self._running += 1
            self._listen(account, asking)

    def _listen(self, account: Account, asking: Asking) -> None:
        is_over = False

        def over(said: dict[str, str] | LoginShellError) -> None:
            nonlocal is_over
            is_over = True
            self._loop.unwatch(asking.fileno())
            asking.end()
            self._running -= 1
            self._learn(account, said)
            self._start_next()

        def readable() -> None:
            try:
                said: dict[str, str] | LoginShellError | None = asking.take()
            except LoginShellError as failure:
                said = failure
            if said is not None:
                over(said)

        def too_late() -> None:
            if not is_over:
                over(asking.too_slow(self._timeout_s))

        self._loop.watch(asking.fileno(), readable)
        self._loop.call_in(self._timeout_s, too_late)

    def _learn(self, account: Account, said: dict[str, str] | LoginShellError) -> None:
        key = _key(account)
        self._known[key] = said
        if isinstance(said, LoginShellError):
            self._loop.call_in(_FAILURE_KEPT_S, lambda: self._forget_failure(key, said))
        for then in self._waiting.pop(key, []):
            then()

    def _forget_failure(self, key: _Key, failure: LoginShellError) -> None:
        if self._known.get(key) is failure:
            del self._known[key]


def _key(account: Account) -> _Key:
    return account.uid, account.shell
