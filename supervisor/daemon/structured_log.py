"""The supervisor's structlog, which ends in ringvisord's own log."""

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from supervisor.main_log import MainLog

SERVICE = "supervisor"


def supervisors_log(main_log: MainLog) -> FilteringBoundLogger:
    def say(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        main_log.say(level, SERVICE, str(event.pop("event")), event)
        raise structlog.DropEvent

    log: FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[structlog.processors.format_exc_info, say],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return log
