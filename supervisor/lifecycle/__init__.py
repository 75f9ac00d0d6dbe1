"""What happens to a session, as a pure machine: no clock, no fd, no keeper. The shell feeds events and does effects.

session, effects = step(session, event, now_s)      the machine; `Registry.step` for one of many
journal.decided(Decision(...))                      written before the effects are done
recover(records), replay(records), explain(...)     what the journal is for
"""

from supervisor.lifecycle.errors import ImpossibleEventError, LifecycleError, RefusedError
from supervisor.lifecycle.explain import Explained, explain, waits_for
from supervisor.lifecycle.journal import Checkpoint, Decision, Journal, Opening, decode_records, encode_record
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.registry import Registry
from supervisor.lifecycle.replay import Recovered, Replayed, recover, replay
from supervisor.lifecycle.rules import Rules, rules_of
from supervisor.lifecycle.selection import NotFound, Selection
from supervisor.lifecycle.session import Session, reborn
from supervisor.lifecycle.states import Desired, SessionState

__all__ = [
    "Checkpoint",
    "Decision",
    "Desired",
    "Explained",
    "ImpossibleEventError",
    "Journal",
    "LifecycleError",
    "NotFound",
    "Opening",
    "Recovered",
    "RefusedError",
    "Registry",
    "Replayed",
    "Rules",
    "Selection",
    "Session",
    "SessionState",
    "decode_records",
    "encode_record",
    "explain",
    "reborn",
    "recover",
    "replay",
    "rules_of",
    "step",
    "waits_for",
]
