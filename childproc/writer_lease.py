"""Who types: of several attached terminals only one, or two people's keystrokes would make one command. Pure.

Whoever wants to type claims it, and waits in line behind those who claimed before; stealing goes to the head of the
line. Clients that never claim, such as `send`, say one thing and go: they are nobody's rivals and are not held back.
"""


class WriterLease:
    """Clients are numbers."""

    def __init__(self) -> None:
        self._line: list[int] = []

    @property
    def writer(self) -> int | None:
        return self._line[0] if self._line else None

    def claim(self, client: int, *, steal: bool) -> None:
        if steal:
            self.leave(client)
            self._line.insert(0, client)
        elif client not in self._line:
            self._line.append(client)

    def leave(self, client: int) -> None:
        if client in self._line:
            self._line.remove(client)

    def bars(self, client: int) -> bool:
        return client in self._line and client != self.writer
