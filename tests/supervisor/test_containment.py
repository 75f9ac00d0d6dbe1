"""Where the sessions are put, and what systemd kept: the parts that need no systemd."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from childproc.job import PipeFds, PtyFds
from supervisor.keeper import containment
from supervisor.keeper.containment import directories, enter, find_containment
from supervisor.keeper.fd_store import FdStore, named, stored_streams, systemd
from supervisor.keeper.table import Run

UNIT = "/system.slice/x-sessions.service"


def test_systemds_own_hierarchy_and_the_unified_one() -> None:
    lines = [f"9:name=systemd:{UNIT}", "4:memory:/other", f"0::{UNIT}"]
    assert list(directories(lines, "/u")) == [f"/sys/fs/cgroup/systemd{UNIT}", f"/u{UNIT}"]


def test_the_root_is_nobodys_to_hold() -> None:
    assert list(directories(["0::/", "nonsense", ""], "/u")) == []


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plain files, which take what is written to them."""
    monkeypatch.setattr(containment, "_ROOT", str(tmp_path))
    (tmp_path / "cgroup").write_text(f"0::{UNIT}\n")
    (tmp_path / "cgroup.controllers").touch()
    unit = tmp_path / UNIT.strip("/")
    (unit / "fleet").mkdir(parents=True)
    (unit / "fleet/cgroup.procs").touch()
    (unit / "cgroup.procs").write_text("77\n")
    return unit


def test_what_the_unit_runs_makes_room_for_controllers(tree: Path, tmp_path: Path) -> None:
    files = find_containment(str(tmp_path))
    assert files == (f"{tree}/fleet/cgroup.procs",)
    assert (tree / "fleet/cgroup.procs").read_text() == "77"


def test_a_process_enters(tree: Path, tmp_path: Path) -> None:
    (tree / "cgroup.procs").write_text("")
    enter(find_containment(str(tmp_path)))
    assert (tree / "fleet/cgroup.procs").read_text() == "0"


def test_a_unit_that_is_stopped_holds_nothing(tree: Path, tmp_path: Path) -> None:
    tree.rename(tmp_path / "gone")
    assert find_containment(str(tmp_path)) == ()
    enter((f"{tree}/fleet/cgroup.procs",))


def test_no_record_no_containment(tmp_path: Path) -> None:
    assert find_containment(str(tmp_path)) == ()


def test_fds_are_taken_back_once_and_by_us_only() -> None:
    """In a process of its own, whose fds behind 2 are what they are."""
    script = (
        "import os, sys\n"
        "from supervisor.keeper.fd_store import taken_back\n"
        "environ = {'LISTEN_PID': sys.argv[1] or str(os.getpid()), 'LISTEN_FDS': '3', 'LISTEN_FDNAMES': 'a:b:a'}\n"
        "got = taken_back(environ, os.getpid())\n"
        "print(got, environ, [os.get_inheritable(fd) for fd in got.values()])\n"
    )

    def said(whose: str) -> str:
        fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        try:
            shell = "exec " + " ".join(f"{number}<&{fd}" for number, fd in zip((3, 4, 5), fds, strict=True))
            shell = f'{shell}; exec "$@"'
            command = ["bash", "-c", shell, "bash", sys.executable, "-c", script, whose]
            return subprocess.run(command, pass_fds=fds, capture_output=True, text=True, check=True).stdout.strip()
        finally:
            for fd in fds:
                os.close(fd)

    assert said("") == "{'a': 3, 'b': 4} {} [False, False]"
    assert said("1") == "{} {} []"


def test_only_the_main_process_of_a_service_has_a_store() -> None:
    assert systemd({}, 7) is None
    assert systemd({"SYSTEMD_EXEC_PID": "8"}, 7) is None
    assert systemd({"SYSTEMD_EXEC_PID": "7"}, 7) is not None


def test_only_what_is_missing_is_sent_again_and_what_is_nobodys_is_taken_out() -> None:
    sent: list[str] = []
    store = FdStore(lambda words, fds: sent.append(f"{words.replace(chr(10), ' ')} {list(fds)}"))
    run = Run(3, 0.5, 30.0, 0, fds=PipeFds(-1, 5, 6))
    store.go_on({"a.3.stdout": 5, "a.2.stdout": 9, "a.3.stdin": 8}, {"a": run})
    assert sorted(sent) == [
        "FDSTORE=1 FDPOLL=0 FDNAME=a.3.stderr [6]",
        "FDSTOREREMOVE=1 FDNAME=a.2.stdout []",
        "FDSTOREREMOVE=1 FDNAME=a.3.stdin []",
    ]


def test_an_epoch_goes_on_only_with_all_that_its_worker_reads() -> None:
    pipes = named("a.b", 3, PipeFds(4, 5, 6))
    assert stored_streams(pipes, "a.b", 3) == PipeFds(4, 5, 6)
    assert stored_streams({name: fd for name, fd in pipes.items() if fd != 4}, "a.b", 3) == PipeFds(-1, 5, 6)
    assert stored_streams({name: fd for name, fd in pipes.items() if fd != 6}, "a.b", 3) is None
    assert stored_streams(named("a.b", 2, PtyFds(4)), "a.b", 3) is None
