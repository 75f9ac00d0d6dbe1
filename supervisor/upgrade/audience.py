"""Clients that wait for an upgrade: each is told the steps that it has not heard of yet, then how it ended."""

from supervisor.control import messages as control
from supervisor.control.server import Client
from supervisor.upgrade.progress import Phase, Progress


class Audience:
    def __init__(self) -> None:
        self._waiting: list[tuple[Client, int, int]] = []  # client, request, how many steps it knows

    def add(self, client: Client, request: int, known: int = 0) -> None:
        self._waiting.append((client, request, known))

    def tell(self, progress: Progress) -> None:
        waiting, self._waiting = self._waiting, []
        for client, request, known in waiting:
            if client.lost:
                continue
            for number, step in enumerate(progress.steps[known:], known):
                client.tell(control.UpgradeStep(request, number, step.name, step.said, step.took_s, step.paused_s))
            match progress.phase:
                case Phase.DONE:
                    client.tell(control.Done(request))
                case Phase.FAILED:
                    client.tell(control.Failed(request, progress.failure, "upgrade_failed"))
                case _:
                    self._waiting.append((client, request, len(progress.steps)))
