"""The supervisor as the keeper's service."""

import os
import signal
import socket
import sys

from setproctitle import setproctitle

from supervisor.daemon.daemon import Daemon
from supervisor.daemon.events import Occurrence
from supervisor.daemon.status import boot_id
from supervisor.daemon.structured_log import SERVICE, supervisors_log
from supervisor.fleet_place import read_place
from supervisor.keeper.log import VOICE, log, speak_as
from supervisor.keeper.template import ServiceJob
from supervisor.release import RELEASE


def run(job: ServiceJob) -> None:
    speak_as(SERVICE)
    (runtime_dir,) = job.args
    place = read_place(runtime_dir)
    if place is None:
        log(f"{runtime_dir}/fleet.json cannot be read: start ringvisord again", level="error")
        sys.exit(1)
    setproctitle(f"ringvisor: supervisor [{place.name}]")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the main process, which passes them on
    structured = supervisors_log(VOICE.log)

    def record(occurrence: Occurrence) -> None:
        structured.info(occurrence.event, session=occurrence.session, state=occurrence.state, **occurrence.detail)

    structured.info("supervisor begins", fleet=place.name, version=RELEASE, keeper=os.getppid())
    Daemon(
        place,
        socket.socket(fileno=job.fds["keeper"]),
        socket.socket(fileno=job.fds["control"]),
        own_env=dict(os.environ),
        boot_id=boot_id(),
        report=structured.warning,
        record=record,
        keeper_speaks=job.speaks,
    ).run()
    structured.info("supervisor ends")
