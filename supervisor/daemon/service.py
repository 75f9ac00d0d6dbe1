"""The supervisor as the keeper's service."""

import os
import signal
import socket
import sys

import structlog
from setproctitle import setproctitle

from supervisor.daemon.daemon import Daemon
from supervisor.daemon.events import Occurrence
from supervisor.daemon.status import boot_id
from supervisor.fleet_place import read_place
from supervisor.keeper.template import ServiceJob


def run(job: ServiceJob) -> None:
    (runtime_dir,) = job.args
    place = read_place(runtime_dir)
    if place is None:
        sys.stderr.write(f"ringvisord: {runtime_dir}/fleet.json cannot be read: start ringvisord again\n")
        sys.exit(1)
    setproctitle(f"ringvisor: supervisor [{place.name}]")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the main process, which passes them on
    log = structlog.get_logger(service="supervisor")

    def record(occurrence: Occurrence) -> None:
        log.info(occurrence.event, session=occurrence.session, state=occurrence.state, **occurrence.detail)

    Daemon(
        place,
        socket.socket(fileno=job.fds["keeper"]),
        socket.socket(fileno=job.fds["control"]),
        own_env=dict(os.environ),
        boot_id=boot_id(),
        report=log.warning,
        record=record,
    ).run()
