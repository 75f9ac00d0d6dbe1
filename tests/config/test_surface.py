"""The documented example, word for word, and what it must mean."""

import os
import pwd
from pathlib import Path

import pytest

from config import Fleet
from config.health import ActionKind, HealthAction, HttpCheck
from config.hosts import CredentialKind, HostKeyPolicy, HostSpec, SshBackend
from config.model import (
    Compression,
    Condition,
    Continuity,
    Limits,
    LogSpec,
    Orphans,
    Percent,
    PipeIo,
    PollSpec,
    PtyIo,
    Resize,
    RestartOn,
    RestartPolicy,
    RestartVerdict,
    RestartWhen,
    RingFull,
    RingSpec,
    SecretFile,
    SshIo,
    StopSpec,
    TtySpec,
)
from tests.config.support import load_text

SURFACE = Path(__file__).with_name("surface.toml").read_text()
FILES = {
    "conf.d/db.toml": '[session.db]\ncommand = "postgres"\ncwd = "data"\n',
    "secrets/token": "s3cret\n",
    ".env": "A=1\n",
}
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    loaded = load_text(tmp_path, SURFACE.replace('"www-data"  ', f'"{ME}"'), FILES)
    assert loaded.warnings == ()
    assert loaded.files == (str(tmp_path / "ringvisor.toml"), str(tmp_path / "conf.d/db.toml"))
    return loaded.fleet


def test_fleet_table(fleet: Fleet, tmp_path: Path) -> None:
    """Directories are absolute, amounts are bytes or a share."""
    assert (fleet.name, fleet.config) == ("agents", str(tmp_path / "ringvisor.toml"))
    assert (fleet.runtime_dir, fleet.state_dir) == (str(tmp_path / "run"), str(tmp_path / "state"))
    assert (fleet.log_dir, fleet.ring_dir) == (str(tmp_path / "logs"), "/dev/shm")
    assert (fleet.ring_memory, fleet.log_disk_max_bytes) == (Percent(25.0), 20 << 30)


def test_sessions_and_groups(fleet: Fleet) -> None:
    """Instances are numbered; the group is the one named, else the table's name."""
    assert fleet.groups() == {
        "backend": ("web-0", "web-1", "web-2", "web-3"),
        "db-shell": ("db-shell",),
        "coder": ("coder",),
        "db": ("db",),
    }


def test_web(fleet: Fleet, tmp_path: Path) -> None:
    """Every key of the long example arrives in its unit."""
    web = fleet.sessions["web-3"]
    assert (web.name, web.table, web.number, web.group, web.tags) == ("web-3", "web", 3, "backend", ("web",))
    assert (web.command, web.cwd, web.user) == (("python3", "-u", "serve.py"), "/srv/web-3", ME)
    assert web.io == PtyIo(tty=TtySpec(cols=120, rows=40, term="xterm-256color", resize=Resize.WRITER))
    assert web.env == {"MODE": "prod", "TOKEN": SecretFile(str(tmp_path / "secrets/token"))}
    assert (web.env_file, web.login_env) == ((str(tmp_path / ".env"),), False)
    assert (web.autostart, web.priority, web.start_seconds, web.essential) == (True, 100, 1.0, False)
    assert (web.stop, web.orphans) == (StopSpec(signal=15, timeout_s=10.0), Orphans.KILL)
    assert web.restart == RestartPolicy(
        policy=RestartWhen.ON_FAILURE,
        expected=(0,),
        delay_s=1.0,
        factor=2.0,
        max_delay_s=60.0,
        jitter=0.2,
        reset_after_s=60.0,
        max=10,
        within_s=300.0,
    )
    assert web.restart_on == RestartOn(oom=RestartVerdict.ALWAYS, spawn_failed=RestartVerdict.NEVER)
    assert web.limits == Limits(memory_max=512 << 20, cpu_percent=50.0, pids=64, nofile=1024)
    assert web.ring == RingSpec(size_bytes=64 << 10, max_size_bytes=8 << 20, policy=RingFull.BLOCK)
    assert web.log == LogSpec(
        path=str(tmp_path / "logs/web-3.log"),
        max_size_bytes=50 << 20,
        keep=5,
        compress=Compression.ZSTD,
        required=True,
        stall_max_s=30.0,
    )
    assert web.depends_on == {"db": Condition.READY}
    assert web.health == (
        HttpCheck(
            url="http://127.0.0.1:8080/health",
            interval_s=30.0,
            timeout_s=2.0,
            failures=3,
            action=HealthAction(ActionKind.RESTART),
        ),
    )


def test_ssh_session_and_hosts(fleet: Fleet) -> None:
    """A host of the fleet, and one on the way to it that only ssh_config knows."""
    shell = fleet.sessions["db-shell"]
    assert (shell.command, shell.cwd) == (("htop",), "")
    assert shell.io == SshIo(
        host="db1",
        tty=TtySpec(),
        continuity=Continuity.EXACT,
        poll=PollSpec(command=("uptime",), interval_s=5.0),
    )
    assert fleet.hosts == {
        "db1": HostSpec(
            name="db1",
            address="192.0.2.7",
            port=22,
            user="ops",
            key=("/home/ann/.ssh/id_ed25519",),
            credentials=(CredentialKind.KEY,),
            known_hosts="/home/ann/.ssh/known_hosts",
            host_keys=HostKeyPolicy.STRICT,
            jump=("bastion",),
            backend=SshBackend.PARAMIKO,
        ),
        "bastion": HostSpec(name="bastion", is_from_ssh_config=True),
    }


def test_pipe_session_with_a_profile(fleet: Fleet, tmp_path: Path) -> None:
    """stderr of a pipe session has a log of its own beside stdout's."""
    coder = fleet.sessions["coder"]
    assert (coder.io, coder.profile) == (PipeIo(), "claude")
    assert coder.log is not None
    assert coder.log.error_path == str(tmp_path / "logs/coder.err.log")
    assert coder.restart.policy is RestartWhen.ON_FAILURE


def test_relative_paths_are_relative_to_their_own_file(fleet: Fleet, tmp_path: Path) -> None:
    """Also in an included file."""
    assert fleet.sessions["db"].cwd == str(tmp_path / "conf.d/data")
    assert fleet.sessions["coder"].cwd == str(tmp_path)


def test_documented_values_are_the_defaults(tmp_path: Path, fleet: Fleet) -> None:
    """Where the example shows a policy in full, leaving it out means the same."""
    plain = load_text(tmp_path, '[session.a]\ncommand = "x"\n').fleet.sessions["a"]
    web = fleet.sessions["web-0"]
    for key in ("io", "stop", "orphans", "restart", "ring", "autostart", "priority", "start_seconds", "essential"):
        assert getattr(plain, key) == getattr(web, key), key
    assert plain.log == LogSpec(path="/home/ann/.local/state/ringvisor/" + tmp_path.name + "/log/a.log")


def test_shorthands(tmp_path: Path) -> None:
    """A policy, a signal, a path, a size, and words in one text."""
    text = '[session.a]\ncommand = "x \'y z\'"\nrestart = "always"\nstop = "INT"\nlog = "x.log"\nring = "1M"\n'
    a = load_text(tmp_path, '[fleet]\nlog_dir = "/l"\n' + text).fleet.sessions["a"]
    assert a.command == ("x", "y z")
    assert (a.restart.policy, a.stop) == (RestartWhen.ALWAYS, StopSpec(signal=2))
    assert (a.log, a.ring) == (LogSpec(path="/l/x.log"), RingSpec(max_size_bytes=1 << 20))
