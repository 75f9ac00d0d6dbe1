"""A real keeper for tests: `python -m tests.support.keeper_process OPTIONS [--dry FD | --resume FD]`.

Its rings are empty files and its worker copies the program's output into `<ring_dir>/<session>.out` and `.err`; what a
worker does instead, and where a starting program is killed, is said by files, so that a test may change its mind:

    <runtime_dir>/<session>.worker   "exit N" | "abort"     what the session's next workers do at once
    <runtime_dir>/kill-at            a checkpoint of childproc.program at which the child is killed
    <runtime_dir>/stop-at            ... at which it stops
    <runtime_dir>/broken             this program fails when it is started with --dry
"""

import contextlib
import os
import select
import signal
import sys
from typing import NoReturn

import msgspec

from childproc.job import PtyFds, WorkerJob
from ipc.ring_spec import RingSpec
from supervisor.keeper import reexec
from supervisor.keeper.keeper import Collaborators, Keeper, KeeperConfig, first_state, load_state
from supervisor.keeper.services import ServiceSpec
from tests.support import stand_in_services


class Options(msgspec.Struct):
    ring_dir: str
    runtime_dir: str
    supervisor_socket: str
    router: bool = False
    start_max_s: float = 30.0
    uid: int = 0  # become this user once everything is imported: the interpreter may live where only root looks
    preload: tuple[str, ...] = ("tests.support.stand_in_services",)
    pythonpath: str = ""


def read(path: str) -> str:
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        return file.read()
    return ""


def run_worker(job: WorkerJob) -> NoReturn:
    match read(f"{job.runtime_dir}/{job.session}.worker").split():
        case ["exit", code]:
            os._exit(int(code))
        case ["abort"]:
            os.kill(os.getpid(), signal.SIGABRT)
    copy_output(job)
    os._exit(0)


def copy_output(job: WorkerJob) -> None:
    streams = (job.fds.master,) if isinstance(job.fds, PtyFds) else (job.fds.stdout, job.fds.stderr)
    poll = select.poll()
    targets = {}
    for stream, suffix in zip(streams, ("out", "err"), strict=False):
        path = f"{job.ring_dir}/{job.session}.{suffix}"
        targets[stream] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        poll.register(stream, select.POLLIN)
    poll.register(job.pidfd, select.POLLIN)
    gone = False
    while targets:
        ready = [fd for fd, _ in poll.poll()]
        if job.pidfd in ready:
            gone = True
            poll.unregister(job.pidfd)
        for stream in [stream for stream in targets if gone or stream in ready]:
            if not drain(stream, targets[stream]) or gone:
                poll.unregister(stream)
                del targets[stream]


def drain(stream: int, target: int) -> bool:
    """False at its end."""
    while True:
        try:
            data = os.read(stream, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        os.write(target, data)


def collaborators(options: Options) -> Collaborators:
    def create_ring(ring_dir: str, session: str, _spec: RingSpec) -> None:
        os.close(os.open(f"{ring_dir}/{session}.ring", os.O_CREAT | os.O_EXCL, 0o600))

    def forget_ring(ring_dir: str, session: str) -> None:
        os.unlink(f"{ring_dir}/{session}.ring")

    def checkpoint(name: str) -> None:
        for file, signum in (("kill-at", signal.SIGKILL), ("stop-at", signal.SIGSTOP)):
            if read(f"{options.runtime_dir}/{file}") == name:
                os.kill(os.getpid(), signum)

    return Collaborators(run_worker, create_ring, forget_ring, checkpoint)


def config(options: Options) -> KeeperConfig:
    supervisor = ServiceSpec(
        "supervisor",
        f"{stand_in_services.__name__}:supervisor",
        (options.supervisor_socket,),
        decides=True,
    )
    router = ServiceSpec("router", f"{stand_in_services.__name__}:router", (options.runtime_dir,))
    return KeeperConfig(
        options.ring_dir,
        options.runtime_dir,
        (supervisor, router) if options.router else (supervisor,),
        options.preload,
        (sys.executable, "-m", "tests.support.keeper_process", msgspec.json.encode(options).decode()),
        options.start_max_s,
    )


def main() -> int:
    options = msgspec.json.decode(sys.argv[1], type=Options)
    if options.pythonpath:
        sys.path.insert(0, options.pythonpath)
    if options.uid:
        os.setgroups([])
        os.setgid(options.uid)
        os.setuid(options.uid)
    match sys.argv[2:]:
        case [reexec.DRY, memory]:
            if words := read(f"{options.runtime_dir}/broken"):
                raise SystemExit(words)
            load_state(int(memory))
            return 0
        case [reexec.RESUME, memory]:
            state = load_state(int(memory))
        case _:
            state = first_state(config(options))
    return Keeper(state, collaborators(options)).run()


if __name__ == "__main__":
    raise SystemExit(main())
