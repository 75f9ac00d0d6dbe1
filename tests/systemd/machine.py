"""A Debian with systemd as PID 1, in a container: it boots in about a second, and reboots.

debootstrap builds its root once, in a cache; each machine writes to an overlay of its own. Root and overlay are mounted
in the container's mount namespace only, so that nothing of it is left when it ends, however it ends. `unified` is how
Debian boots; hybrid, with cgroups of version 1, is what systemd makes of a machine that has those.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

WANTED = "RINGVISOR_SYSTEMD_TESTS"
RELEASES = {"bookworm": "3.11", "trixie": "3.13"}  # Debian's, and the Python in it: systemd 252 and 257
TOOLS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
PATIENCE_S = 30.0
WHEELS = "/wheels"
VENV = "/opt/ringvisor"
_CACHE = Path(os.environ.get("RINGVISOR_TEST_CACHE", "/var/cache/ringvisor-tests"))
_PACKAGES = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-venv"
_REPOSITORY = Path(__file__).resolve().parents[2]
_SOURCES = ("supervisor", "childproc", "ipc", "config", "systemd", "pyproject.toml", "README.md", "LICENSE")
_PROPERTY = re.compile(r"^([A-Za-z]+)=(.*)$", re.MULTILINE)
NEWER = "99.0"
HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
_NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")


def why_not() -> str:
    """Why no machine can be booted here; "": it can."""
    if not os.environ.get(WANTED):
        return "boots machines: run by python -m tests.systemd"
    if os.geteuid() != 0:
        return "root is needed to boot a machine"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"to boot a machine, apt-get install {' '.join(missing)}" if missing else ""


def debian_root(release: str) -> Path:
    root = _CACHE / release
    if not root.is_dir():
        partial = _CACHE / f"{release}.{os.getpid()}"
        partial.parent.mkdir(parents=True, exist_ok=True)
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, str(partial))
        partial.rename(root)
    return root


def build_wheels(target: Path) -> None:
    """Ours as it stands, the same again as a newer release, and what it needs."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(_REPOSITORY))
    newer = target / "newer-source"
    newer.mkdir()
    for name in _SOURCES:
        source = _REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, newer / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, newer / name)
    project = (newer / "pyproject.toml").read_text()
    (newer / "pyproject.toml").write_text(
        re.sub(r'^version = ".*"', f'version = "{NEWER}"', project, flags=re.MULTILINE)
    )
    needs = re.search(r"^dependencies = \[(.*?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    assert needs
    _run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(newer))
    shutil.rmtree(newer)
    for python in RELEASES.values():
        for_root = ["--only-binary", ":all:", "--python-version", python, "--dest", str(target)]
        _run(*pip, "download", "--quiet", *for_root, *re.findall(r'"(.*?)"', needs[1]))


@dataclass
class Machine:
    name: str
    release: str
    unified: bool
    directory: Path  # of the overlay
    wheels: Path
    _nspawn: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def boot(self) -> None:
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(exist_ok=True)
        _remove_cgroups()  # of one that was killed
        layers = f"lowerdir={debian_root(self.release)},upperdir={self.directory}/upper,workdir={self.directory}/work"
        nspawn = "exec setpriv --pdeathsig TERM systemd-nspawn --quiet --boot "  # it ends in order when we are killed
        nspawn += f"--directory={self.directory}/root --machine={self.name} "
        nspawn += f"--register=no --keep-unit --private-network --bind-ro={self.wheels}:{WHEELS} --console=pipe"
        script = f"mount -t overlay overlay -o {layers} {self.directory}/root && {nspawn}"
        with open(self.directory / "console", "ab") as console:
            self._nspawn = subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, **({"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} if self.unified else {})},
            )
        self.until(lambda: self.try_run("systemctl", "is-system-running", "--wait").stdout.strip() == "running")

    @property
    def leader(self) -> int:
        """Its PID 1, out here. 0: not yet, or not any more."""
        assert self._nspawn
        if self._nspawn.poll() is not None:
            raise AssertionError(f"it has ended: {(self.directory / 'console').read_text()}")
        pid = self._nspawn.pid
        with contextlib.suppress(FileNotFoundError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        return 0

    def try_run(self, *argv: str, user: str = "") -> "subprocess.CompletedProcess[str]":
        leader = self.leader
        if not leader:
            return subprocess.CompletedProcess(argv, 255, "", "not booted yet")
        enter = ["nsenter", f"--target={leader}", *_NAMESPACES]
        path = f"PATH={VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        environment = ["env", "-i", path, "LC_ALL=C.UTF-8", "HOME=/root"]
        if user:
            uid = 1000
            environment = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *environment]
            environment += [f"HOME=/home/{user}", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
        return subprocess.run(
            [*enter, *environment, *argv], capture_output=True, text=True, timeout=120, check=False, cwd="/"
        )

    def run(self, *argv: str, user: str = "") -> str:
        done = self.try_run(*argv, user=user)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def shell(self, script: str, user: str = "") -> str:
        return self.run("sh", "-ec", script, user=user)

    def send(self, number: signal.Signals, *pids: int) -> None:
        """To all of them at once, as far as there is such a thing."""
        self.shell(f"kill -{number.value} {' '.join(map(str, pids))}")

    def journal(self) -> str:
        return self.try_run("journalctl", "--no-pager", "--lines=60").stdout

    def write(self, path: str, content: str) -> None:
        self.run("sh", "-ec", 'mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"', "sh", path, content)

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Looks again and again: no event of a systemd in there comes out here."""
        deadline_s = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline_s, f"not within {patience_s} s\n{self.journal() if self.leader else ''}"
            time.sleep(0.02)

    def facts(self, unit: str, *, user: str = "") -> dict[str, str]:
        """systemctl show."""
        whose = ["--user"] if user else []
        return dict(_PROPERTY.findall(self.run("systemctl", *whose, "show", unit, user=user)))

    def reboot(self) -> None:
        self._end("reboot")
        self.boot()

    def power_off(self) -> None:
        self._end("poweroff")

    def _end(self, how: str) -> None:
        assert self._nspawn
        self.try_run("systemctl", "--no-block", how)
        try:
            self._nspawn.wait(PATIENCE_S * 2)
        finally:
            self.kill()
            _remove_cgroups()

    def kill(self) -> None:
        """Its PID 1 first: a container survives what started it."""
        if self._nspawn and self._nspawn.poll() is None:
            if leader := self.leader:
                os.kill(leader, signal.SIGKILL)
            else:
                self._nspawn.kill()
            self._nspawn.wait()


@contextlib.contextmanager
def booted(name: str, release: str, directory: Path, wheels: Path, *, unified: bool) -> Iterator[Machine]:
    """With ringvisor installed as the README says."""
    machine = Machine(f"{name}-{os.getpid()}", release, unified, directory, wheels)
    try:
        machine.boot()
        machine.run("python3", "-m", "venv", VENV)
        machine.run(
            f"{VENV}/bin/pip", "install", "--quiet", "--no-index", f"--find-links={WHEELS}", f"ringvisor<{NEWER}"
        )
        yield machine
        machine.power_off()
    finally:
        machine.kill()


def _remove_cgroups() -> None:
    """What systemd-nspawn makes beside itself, and leaves where no systemd cleans up behind it."""
    for root, name in itertools.product(HIERARCHIES, ("payload", "supervisor")):
        for directory, _, _ in os.walk(f"{root}/{name}", topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
