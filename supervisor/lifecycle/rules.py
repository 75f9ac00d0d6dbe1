"""What the lifecycle needs of a session's spec. It travels with the session: a replay needs no fleet file."""

from msgspec import Struct

from config.model import SessionSpec
from config.policies import Orphans, RestartOn, RestartPolicy, StopSpec


class Rules(Struct, frozen=True, omit_defaults=True):
    start_seconds: float = 1.0
    stop: StopSpec = StopSpec()
    orphans: Orphans = Orphans.KILL
    restart: RestartPolicy = RestartPolicy()
    restart_on: RestartOn = RestartOn()


def rules_of(spec: SessionSpec) -> Rules:
    return Rules(spec.start_seconds, spec.stop, spec.orphans, spec.restart, spec.restart_on)
