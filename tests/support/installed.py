"""An installation of its own, as pip would make it, from a copy of this tree; other releases can take its place."""

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import without_our_tree

PACKAGES = ("supervisor", "childproc", "ipc", "config")
_TREE = Path(__file__).parents[2]
_SCRIPTS = {"ringvisord": "supervisor.main:ringvisord", "ringctl": "supervisor.cli.main:ringctl"}
PATIENCE_S = 60.0


class Installed:
    """`release` is what it says of itself. What others it needs comes from the environment of the tests."""

    def __init__(self, directory: Path, release: str) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.site = directory / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        self.bin.mkdir(parents=True)
        self.site.mkdir(parents=True)
        (self.bin / "python").symlink_to(os.path.realpath(sys.executable))
        (directory / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
        (self.site / "others.pth").write_text(f"{_site_packages()}\n")
        for name, entry in _SCRIPTS.items():
            module, _, function = entry.partition(":")
            script = self.bin / name
            script.write_text(f"#!{self.bin}/python\nfrom {module} import {function}\n{function}()\n")
            script.chmod(0o755)
        self.install(release)

    @property
    def ringvisord(self) -> tuple[str, ...]:
        return (str(self.bin / "ringvisord"),)

    def ringctl(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return self.run("ringctl", *args)

    def run(self, name: str, *args: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self.bin / name), *args]
        env = without_our_tree()
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=env, check=False)

    def install(self, release: str, changes: dict[str, tuple[str, str]] | None = None) -> None:
        """`changes`: by file, what stands there and what is to stand there in place of it."""
        for name in PACKAGES:
            shutil.rmtree(self.site / name, ignore_errors=True)
            shutil.copytree(_TREE / name, self.site / name)
        for path, (before, after) in (changes or {}).items():
            self.change(path, before, after)
        for info in self.site.glob("ringvisor-*.dist-info"):
            shutil.rmtree(info)
        info = self.site / f"ringvisor-{release}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ringvisor\nVersion: {release}\n")
        files = [path for name in PACKAGES for path in (self.site / name).rglob("*.py")]
        (info / "RECORD").write_text("".join(f"{_record(self.site, path)}\n" for path in files))

    def change(self, path: str, before: str, after: str) -> None:
        file = self.site / path
        text = file.read_text()
        assert before in text, f"{path} has no {before!r}"
        file.write_text(text.replace(before, after, 1))

    def break_everything(self) -> None:
        """As in the middle of an installation: half of the files are gone, the others say nothing that would run."""
        for number, path in enumerate(sorted(self.site.rglob("*.py"))):
            if number % 2:
                path.unlink()
            else:
                path.write_text("raise ImportError('this installation is not finished')\n")
        for path in self.site.rglob("*.pyc"):
            path.unlink()
        for info in self.site.glob("ringvisor-*.dist-info"):
            shutil.rmtree(info)


def _record(site: Path, path: Path) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
    return f"{path.relative_to(site)},sha256={digest},{path.stat().st_size}"


def _site_packages() -> str:
    found = importlib.util.find_spec("msgspec")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parents[1])
