"""What happens to a session, as a pure machine: no clock, no fd, no keeper. The shell feeds events and does effects.

    session, effects = step(session, event, now_s)      the machine; `Registry.step` for one of many
    journal.decided(Decision(...))                      written before the effects are done
    recover(records), replay(records), explain(...)     what the journal is for

What the shell owes it:
    after Hello    Adopted for each session, from the keeper's table, before any command or deadline is served
    each step      the Decision is written before its first effect is done; effects in order, on one connection
    Refused        of a Start is a StartFailed with seq 0; Done of a stop signal is StopSignalSent
    Adopted        a row of the keeper without a session: acknowledge its report, have it forgotten
    another boot   `reborn` of what was recovered; what starts is then the fleet's business
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
