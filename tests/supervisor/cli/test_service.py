"""The units as they are rendered, and as systemd itself reads them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor.cli.exits import Exit
from supervisor.cli.main import ringctl
from supervisor.install.installing import CannotInstallError, follow_up, install, read_templates, uninstall
from supervisor.install.units import Service, quoted, rendered, system_locations, user_locations

SERVICE = Service("ringvisor-agents", "agents", "/etc/ringvisor/a.toml", "/run/ringvisor/agents", "/opt/r/bin", False)


def contents(service: Service = SERVICE) -> dict[str, str]:
    return rendered(service, system_locations(), read_templates())


def test_the_main_unit_is_told_what_it_needs() -> None:
    main = contents()["/etc/systemd/system/ringvisor-agents.service"].splitlines()
    for line in (
        "Type=notify",
        "ExecStart=/opt/r/bin/ringvisord --config /etc/ringvisor/a.toml",
        "KillMode=process",
        "RestartKillSignal=SIGUSR1",
        "RuntimeDirectory=ringvisor/agents",
        "RuntimeDirectoryPreserve=yes",
        "WantedBy=multi-user.target",
    ):
        assert line in main


def test_systemd_may_pass_on_all_that_it_keeps() -> None:
    """Beyond the soft limit it cannot, and does not start the unit at all (202/FDS)."""
    main = contents()["/etc/systemd/system/ringvisor-agents.service"]
    numbers = dict(re.findall(r"^(LimitNOFILE|FileDescriptorStoreMax)=(\d+)$", main, re.MULTILINE))
    assert int(numbers["LimitNOFILE"]) > int(numbers["FileDescriptorStoreMax"])


def test_no_placeholder_is_left() -> None:
    for path, content in contents().items():
        assert "{" not in content, path


def test_a_users_fleet() -> None:
    """Nothing of root's; its runtime directory is systemd's to make."""
    where = user_locations({"XDG_RUNTIME_DIR": "/run/user/7"}, "/home/a")
    service = Service("x", "agents", "/home/a/r.toml", "/run/user/7/ringvisor/agents", "/opt/r/bin", is_users=True)
    files = rendered(service, where, read_templates())
    assert files.keys() == {"/home/a/.config/systemd/user/x.service", "/home/a/.config/systemd/user/x-sessions.service"}
    main = files["/home/a/.config/systemd/user/x.service"]
    assert "WantedBy=default.target\n" in main
    assert "RuntimeDirectory=ringvisor/agents\n" in main
    assert follow_up(service, where, now=True)[-1] == ["systemctl", "--user", "enable", "--now", "x.service"]


@pytest.mark.parametrize("runtime_dir", ["/srv/run", "/run", "/run/a b", "/run/100%"])
def test_a_runtime_directory_that_systemd_could_not_make_is_left_to_ringvisord(runtime_dir: str) -> None:
    service = Service("x", "agents", "/a", runtime_dir, "/b", is_users=False)
    assert "RuntimeDirectory" not in contents(service)["/etc/systemd/system/x.service"]


def test_words_are_quoted_for_systemd() -> None:
    assert quoted("/plain/path") == "/plain/path"
    assert quoted("/a b%c$d") == '"/a b%%c$$d"'
    assert quoted('/a"b\\c') == '"/a\\"b\\\\c"'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="apt-get install systemd")
@pytest.mark.parametrize(("bin_dir", "config"), [("bin", "r.toml"), ("100% mine", 'it\'s "odd" $HOME\\%.toml')])
def test_systemd_finds_nothing_wrong(tmp_path: Path, bin_dir: str, config: str) -> None:
    """Also not where paths are odd. It looks whether commands are there, and takes no quotes in the path of one."""
    (tmp_path / bin_dir).mkdir()
    for name in ("ringvisord", "ringctl"):
        shutil.copy("/bin/true", tmp_path / bin_dir / name)
    service = Service("x", "x", f"{tmp_path}/{config}", "/run/ringvisor/x", f"{tmp_path}/{bin_dir}", is_users=False)
    paths = []
    for path, content in contents(service).items():
        if path.endswith(".service"):
            paths.append(tmp_path / os.path.basename(path))
            paths[-1].write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, ours) == (0, [])


def test_what_others_wrote_is_left_alone(tmp_path: Path) -> None:
    """Before anything is run."""
    where = user_locations({}, str(tmp_path))
    path = Path(where.units, SERVICE.main_unit)
    path.parent.mkdir(parents=True)
    path.write_text("[Unit]\n")
    for act in (
        lambda: install(SERVICE, where, {str(path): "new"}, print, now=False),
        lambda: uninstall(SERVICE, where, print),
    ):
        with pytest.raises(CannotInstallError, match="was not written by ringctl install-service"):
            act()
    assert path.read_text() == "[Unit]\n"


def test_dry_run_writes_nothing(clean_env: None, tmp_path: Path) -> None:
    (tmp_path / "ringvisor.toml").write_text('[fleet]\nname = "mine"\n')
    said = CliRunner().invoke(ringctl, ["install-service", "--user", "--dry-run"])
    assert said.exit_code == 0
    assert f"# {tmp_path}/.config/systemd/user/ringvisor-mine.service\n" in said.stdout
    assert f"--config {tmp_path}/ringvisor.toml\n" in said.stdout
    assert said.stdout.endswith("systemctl --user daemon-reload\nsystemctl --user enable ringvisor-mine.service\n")
    assert not (tmp_path / ".config").exists()


def test_a_fleet_file_with_errors_is_refused(clean_env: None, tmp_path: Path) -> None:
    (tmp_path / "ringvisor.toml").write_text("[fleet]\nname = 7\n")
    said = CliRunner().invoke(ringctl, ["install-service", "--dry-run"])
    assert said.exit_code == Exit.USAGE
    assert "ringvisor.toml:2" in said.stderr
