"""What the machine answers instead of a step; the session is as it was.

LifecycleError
    RefusedError           the operator asked for what this state does not allow: the words are the answer
    ImpossibleEventError   it contradicts what is known: a fault of ours, or a keeper that lies
"""


class LifecycleError(Exception):
    pass


class RefusedError(LifecycleError):
    pass


class ImpossibleEventError(LifecycleError):
    pass
