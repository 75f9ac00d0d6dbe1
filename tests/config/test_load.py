from pathlib import Path

import pytest

from config import ConfigErrors, Surroundings, find_config, load, load_settings, runtime_bases
from config.model import PipeIo, RestartWhen, RingSpec, SshIo, TtySpec
from tests.config.support import around, errors_of, load_text, session, write

A = '[session.a]\ncommand = "x"\n'


def test_search_order(tmp_path: Path) -> None:
    """-c, then $RINGVISOR_CONFIG, then here, then the user's, then the machine's."""
    home = tmp_path / "home"
    here = tmp_path / "here"
    places = Surroundings(env={}, home=str(home), uid=1000, cwd=str(here))
    with pytest.raises(ConfigErrors) as nothing:
        find_config(None, places)
    tried = f"{here}/ringvisor.toml, {home}/.config/ringvisor/ringvisor.toml, /etc/ringvisor/ringvisor.toml"
    assert f"looked for {tried}; name one with -c FILE, or write one with ringvisord init" in str(nothing.value)
    write(home, {".config/ringvisor/ringvisor.toml": ""})
    assert find_config(None, places) == f"{home}/.config/ringvisor/ringvisor.toml"
    write(here, {"ringvisor.toml": ""})
    assert find_config(None, places) == f"{here}/ringvisor.toml"
    with_env = Surroundings(env={"RINGVISOR_CONFIG": "/x/y.toml"}, home=str(home), uid=1000, cwd=str(here))
    assert find_config(None, with_env) == "/x/y.toml"
    assert find_config("./other.toml", with_env) == f"{here}/other.toml"


def test_unreadable_files(tmp_path: Path) -> None:
    """What cannot be read says why, and with which line where there is one."""
    write(tmp_path, {"dir/x": "", "big.toml": "#" * (17 << 20)})
    (tmp_path / "latin.toml").write_bytes(b"# one\n# caf\xe9\n")
    for name, expected in {
        "none.toml": "none.toml: cannot be read: No such file or directory",
        "dir": "dir: cannot be read: Is a directory",
        "latin.toml": "latin.toml:2: is not UTF-8: byte 0xe9",
        "big.toml": "big.toml: is no configuration: more than 16777216 bytes",
        "/dev/zero": "/dev/zero: is a device, not a file",
    }.items():
        with pytest.raises(ConfigErrors) as caught:
            load(name, around=around(tmp_path))
        assert str(caught.value) == expected


def test_includes_add_sessions_templates_and_hosts(tmp_path: Path) -> None:
    """In the order of their names, nested, each file once, and a pattern may match nothing."""
    loaded = load_text(
        tmp_path,
        'include = ["conf.d/*.toml", "none/*.toml", "${D:-conf.d}/b.toml"]\n' + A + 'template = "t"\n',
        {
            "conf.d/b.toml": '[session.b]\ncommand = "x"\ntemplate = "t"\n',
            "conf.d/a.toml": 'include = "../more/x.toml"\n[template.t]\npriority = 7\ncwd = "w"\n',
            "more/x.toml": '[host.h]\naddress = "x"\n[session.c]\ncommand = "{here}/c"\n',
        },
    )
    assert [Path(path).name for path in loaded.files] == ["ringvisor.toml", "a.toml", "x.toml", "b.toml"]
    sessions = loaded.fleet.sessions
    assert list(sessions) == ["a", "c", "b"]
    assert (sessions["a"].priority, sessions["b"].priority, sessions["c"].priority) == (7, 7, 100)
    assert sessions["a"].cwd == str(tmp_path / "conf.d/w"), "relative to the file that says it"
    assert sessions["c"].command == (str(tmp_path / "more/c"),)
    assert loaded.fleet.hosts["h"].address == "x"


def test_wrong_includes(tmp_path: Path) -> None:
    """Circles, files that are missing, tables that belong into the main file, names defined twice; all at once."""
    assert errors_of(
        tmp_path,
        'include = ["a.toml", "missing.toml", 3]\n' + A,
        {
            "a.toml": '[fleet]\nname = "x"\n[session.a]\ncommand = "y"\n[defaults]\n[template.t]\ninclude = 1\n',
        },
    ) == [
        "a.toml:1: fleet: [fleet] belongs into the main file, ringvisor.toml",
        "a.toml:3: session.a: is defined already at ringvisor.toml:2",
        "a.toml:5: defaults: [defaults] belongs into the main file, ringvisor.toml",
        "a.toml:7: template.t.include: is no key that ringvisor knows",
        'ringvisor.toml:1: include[1]: there is no file "missing.toml"',
        "ringvisor.toml:1: include[2]: is a number, where text belongs: write it in quotes",
    ]


def test_include_circle(tmp_path: Path) -> None:
    """A file that includes itself through another is told so, where it is written."""
    files = {"b.toml": 'include = "sub/../ringvisor.toml"\n', "sub/x": ""}
    (problem,) = errors_of(tmp_path, 'include = "b.toml"\n' + A, files)
    assert problem == f"b.toml:1: include: includes in a circle: {tmp_path}/ringvisor.toml includes this file"


def test_a_broken_include_does_not_hide_other_errors(tmp_path: Path) -> None:
    """Each file is looked at."""
    assert errors_of(tmp_path, 'include = "b.toml"\n' + A + "nise = 1\n", {"b.toml": "x ="}) == [
        "b.toml:1: is not TOML: invalid value, where the file ends",
        "ringvisor.toml:4: session.a.nise: is no key that ringvisor knows",
    ]


def test_directories_with_pattern_characters(tmp_path: Path) -> None:
    """Only what the user wrote is a pattern, not the directory it happens to be in."""
    odd = tmp_path / "a[1]*"
    odd.mkdir()
    loaded = load_text(odd, 'include = "*.inc"\n', {"x.inc": A})
    assert list(loaded.fleet.sessions) == ["a"]


def test_layers_merge_key_by_key(tmp_path: Path) -> None:
    """Defaults, the template's ancestors, the template, the session; nested tables too, arrays replace."""
    text = """
[defaults]
restart = { policy = "always", delay = "1s", max = 3 }
tags = ["x", "y"]
env = { A = "1", B = "1" }
log = "d.log"
[template.base]
restart = { delay = "2s", factor = 3.0 }
env = { B = "2" }
priority = 5
[template.top]
template = "base"
restart = "never"
stop = "INT"
ring = { policy = "drop-oldest" }
[session.a]
template = "top"
command = "x"
tags = ["z"]
restart = { factor = 4.0 }
stop = { timeout = "3s" }
ring = "1M"
log = { keep = 2 }
[session.b]
command = "x"
log = false
"""
    a = session(tmp_path, text)
    assert (a.restart.policy, a.restart.delay_s, a.restart.factor, a.restart.max) == (RestartWhen.NEVER, 2.0, 4.0, 3)
    assert (a.tags, a.env, a.priority) == (("z",), {"A": "1", "B": "2"}, 5)
    assert (a.stop.signal, a.stop.timeout_s) == (2, 3.0)
    assert (a.ring.policy, a.ring.max_size_bytes) == ("drop-oldest", 1 << 20)
    assert a.log is not None
    assert (Path(a.log.path).name, a.log.keep) == ("d.log", 2)
    assert session(tmp_path, text, "b").log is None


def test_names_in_instances(tmp_path: Path) -> None:
    """{n} numbers ports and paths; {group} and {fleet} are known everywhere in a session, text in a command stays."""
    text = """
[fleet]
name = "f"
[session.web]
instances = 2
group = "{fleet}-g"
command = "run {name} {n} {group} ${HOME} {x}"
env = { P = "80{n}", Q = "${PORT}/{group}", R = 5, L = "{{n}} $${HOME}" }
tags = ["t{n}"]
[[session.web.health]]
type = "tcp"
port = "808{n}"
"""
    loaded = load_text(tmp_path, text)
    web = loaded.fleet.sessions["web-1"]
    assert web.group == "f-g"
    assert web.command == ("run", "web-1", "1", "f-g", "${HOME}", "{x}")
    assert web.env == {"P": "801", "Q": "8080/f-g", "R": "5", "L": "{n} ${HOME}"}
    assert web.tags == ("t1",)
    assert web.health[0].port == 8081  # type: ignore[union-attr]  # a TcpCheck
    (warning,) = loaded.warnings
    assert str(warning).startswith('ringvisor.toml:7: session.web.command: holds "${", which stays as it is')


def test_hosts(tmp_path: Path) -> None:
    """One session on each host, with instances on each; others are ssh_config's, and a near miss is pointed out."""
    session = '[session.s]\nio = "ssh"\nhosts = ["db1", "db2"]\ninstances = 2\n'
    loaded = load_text(tmp_path, '[host.db1]\nagent = true\nkey = ["~/k", "k2"]\n' + session)
    assert list(loaded.fleet.sessions) == ["s-0@db1", "s-1@db1", "s-0@db2", "s-1@db2"]
    assert loaded.fleet.sessions["s-1@db2"].io == SshIo(host="db2", tty=TtySpec())
    db1 = loaded.fleet.hosts["db1"]
    assert (db1.credentials, db1.key) == (("agent", "key"), ("/home/ann/k", str(tmp_path / "k2")))
    assert loaded.fleet.hosts["db2"].is_from_ssh_config
    (warning,) = loaded.warnings
    assert warning.key == "session.s.hosts"
    assert str(warning).endswith('"db2" is looked up in ssh_config; did you mean "db1"?')


def test_credentials_that_are_none(tmp_path: Path) -> None:
    """Switched off is not offered."""
    text = '[host.h]\nagent = false\ncertificate = []\nkey = "k"\n[host.bare]\n'
    hosts = load_text(tmp_path, text).fleet.hosts
    assert (hosts["h"].credentials, hosts["bare"].credentials) == (("key",), ())


def test_ssh_without_a_terminal(tmp_path: Path) -> None:
    """tty = false is none."""
    io = session(tmp_path, '[session.a]\nio = "ssh"\nhost = "h"\ntty = false\npoll = "uptime"\n').io
    assert isinstance(io, SshIo)
    assert (io.tty, io.poll and io.poll.command) == (None, ("uptime",))


def test_dependencies_on_groups_are_on_their_sessions(tmp_path: Path) -> None:
    """A group, a table with instances, or one session."""
    text = """
[session.web]
instances = 2
command = "x"
group = "g"
[session.db]
command = "x"
group = "g"
[session.all]
command = "x"
depends_on = { g = "started" }
[session.table]
command = "x"
depends_on = { web = "ready" }
[session.one]
command = "x"
depends_on = { web-1 = "completed" }
"""
    sessions = load_text(tmp_path, text).fleet.sessions
    assert sessions["all"].depends_on == {"web-0": "started", "web-1": "started", "db": "started"}
    assert sessions["table"].depends_on == {"web-0": "ready", "web-1": "ready"}
    assert sessions["one"].depends_on == {"web-1": "completed"}


def test_ring_sizes_are_powers_of_two(tmp_path: Path) -> None:
    """What is written is rounded up, and said; a maximum below the first size lowers it unless both are written."""
    loaded = load_text(
        tmp_path, A + 'ring = { size = "100K", max_size = "5M" }\n[session.b]\ncommand = "x"\nring = "32K"\n'
    )
    assert loaded.fleet.sessions["a"].ring == RingSpec(size_bytes=128 << 10, max_size_bytes=8 << 20)
    assert loaded.fleet.sessions["b"].ring == RingSpec(size_bytes=32 << 10, max_size_bytes=32 << 10)
    assert [str(warning) for warning in loaded.warnings] == [
        "ringvisor.toml:3: session.a.ring.size: 102400 bytes are rounded to a power of two, 131072",
        "ringvisor.toml:3: session.a.ring.max_size: 5242880 bytes are rounded to a power of two, 8388608",
    ]


def test_default_directories(tmp_path: Path) -> None:
    """A user's fleet and root's, by the fleet's name, which is the directory's unless said."""
    directory = tmp_path / "my proj"
    directory.mkdir()
    fleet = load_text(directory, A).fleet
    assert fleet.name == "my-proj"
    assert fleet.runtime_dir == "/run/user/7/ringvisor/my-proj"
    assert fleet.state_dir == "/home/ann/.local/state/ringvisor/my-proj"
    root = Surroundings(env={}, home="/root", uid=0, cwd=str(directory))
    fleet = load(around=root).fleet
    assert (fleet.runtime_dir, fleet.state_dir) == ("/run/ringvisor/my-proj", "/var/lib/ringvisor/my-proj")
    assert fleet.log_dir == "/var/log/ringvisor/my-proj"


def test_runtime_bases() -> None:
    """Where a client looks for fleets: the place of its own user first."""
    user = Surroundings(env={"XDG_RUNTIME_DIR": "/run/user/7"}, home="/h", uid=7, cwd="/")
    assert runtime_bases(user) == ["/run/user/7/ringvisor", "/tmp/ringvisor-7", "/run/ringvisor"]
    bare = Surroundings(env={}, home="/h", uid=7, cwd="/")
    assert runtime_bases(bare) == ["/tmp/ringvisor-7", "/run/ringvisor"]
    assert runtime_bases(Surroundings(env={}, home="/root", uid=0, cwd="/"))[0] == "/run/ringvisor"


def test_scale_overrules_instances(tmp_path: Path) -> None:
    """`ringctl scale web=3` outlives the file's number."""
    write(tmp_path, {"ringvisor.toml": '[session.web]\ncommand = "x"\ninstances = 1\n'})
    fleet = load(around=around(tmp_path), scale={"web": 3}).fleet
    assert list(fleet.sessions) == ["web-0", "web-1", "web-2"]


def test_files_besides_those_that_the_fleet_names(tmp_path: Path) -> None:
    """Ad-hoc sessions are kept in files of their own and loaded like included ones."""
    write(tmp_path, {"ringvisor.toml": A, "state/run.toml": '[session.adhoc]\ncommand = "y"\nio = "pipe"\n'})
    fleet = load(around=around(tmp_path), also=[str(tmp_path / "state/run.toml")]).fleet
    assert fleet.sessions["adhoc"].io == PipeIo()


@pytest.mark.parametrize(
    "text",
    [
        '[fleet]\nname = "f"\nruntime_dir = "r"\n[session.a]\ncommand = [broken\n',
        '# c\n\n[ fleet ] # c\nruntime_dir = "r"\nname = "f"\n',
        '[session.a]\ncommand = "[fleet]"\n[fleet]\nname = "f"\nruntime_dir = "r"',
        'fleet = { name = "f", runtime_dir = "r" }\n',
        'fleet.name = "f"\nfleet.runtime_dir = "r"\n',
        '[session.a]\ncommand = """\n[fleet]\nname = "wrong"\n"""\n[fleet]\nname = "f"\nruntime_dir = "r"\n',
    ],
)
def test_settings_alone(tmp_path: Path, text: str) -> None:
    """A client finds its ringvisord though the rest of the file is broken or long, however [fleet] is spelled."""
    write(tmp_path, {"ringvisor.toml": text})
    settings = load_settings(around=around(tmp_path))
    assert (settings.name, settings.runtime_dir) == ("f", str(tmp_path / "r"))


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    """Their lines are those of the file."""
    write(tmp_path, {"ringvisor.toml": A + '[fleet]\nnmae = "f"\n'})
    with pytest.raises(ConfigErrors, match=r'^ringvisor.toml:4: fleet.nmae: .* did you mean "name"\?$'):
        load_settings(around=around(tmp_path))
