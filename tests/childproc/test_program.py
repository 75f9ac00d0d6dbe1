"""A program as the keeper starts it: what it is given, and nothing else."""

import errno
import os
import resource
import shutil
import signal
from typing import Any

import pytest

from childproc.spec import Io, Phase, ProgramSpec
from supervisor.keeper.messages import Exited, StartFailed
from tests.support.keeper import PATH, KeeperUnderTest, Supervisor, program, running_keeper, shell

NOBODY = 65534
C_LIBRARYS_OWN = 1 << 31 | 1 << 32  # signals 32 and 33: no program may set them, and posix_spawn leaves them ignored

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def run(keeper: KeeperUnderTest, supervisor: Supervisor):
    """Runs a program through a pipe, and gives its output."""

    def run(spec: ProgramSpec) -> str:
        exited = supervisor.run("s", 1, spec)
        assert exited.status == Exited(0), keeper.output("s", "err")
        return keeper.output("s").decode()

    supervisor.create("s")
    return run


@pytest.fixture
def failure(supervisor: Supervisor):
    def failure(spec: ProgramSpec) -> StartFailed:
        supervisor.start("s", 1, spec)
        return supervisor.expect(StartFailed)

    supervisor.create("s")
    return failure


def pipe(script: str, **more: Any) -> ProgramSpec:
    return shell(script, io=Io.PIPE, **more)


# ---- what it is given


@pytest.mark.parametrize("io", Io)
def test_no_fd_but_0_to_2(run, io):
    """The program's own table has nothing of ours in it, not even the start socket."""
    assert run(shell("ls /proc/$$/fd; :", io=io)).split() == ["0", "1", "2"]


def test_the_environment_is_exactly_the_one_given(keeper, supervisor):
    """Not a variable more, and bytes that are not UTF-8 arrive as they are."""
    supervisor.create("s")
    supervisor.run("s", 1, program("env", "-0", env={b"WORD": b"\xff\xfe=x"}, io=Io.PIPE))
    assert sorted(keeper.output("s").split(b"\0")) == sorted([b"", b"PATH=" + PATH, b"WORD=\xff\xfe=x"])


def test_an_environment_larger_than_a_socket_buffer(run):
    """A packet that would not fit into a socket's buffer travels in a memfd."""
    large = {b"V%d" % number: b"x" * 100_000 for number in range(10)}
    assert int(run(program("sh", "-c", "env | wc -c", env=large, io=Io.PIPE))) > 1_000_000


@pytest.mark.parametrize("io", Io)
def test_signals_are_at_their_defaults(run, io):
    """Nothing blocked and nothing ignored, although Python ignores SIGPIPE and SIGXFSZ."""
    status = dict(line.split(":\t") for line in run(program("cat", "/proc/self/status", io=io)).splitlines())
    assert [int(status[name], 16) & ~C_LIBRARYS_OWN for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


def test_leads_its_own_session_and_controls_its_terminal(run):
    """Session, group and foreground group are its own, and /dev/tty is the terminal it has as stdin."""
    stat, tty, said = run(shell("cat /proc/$$/stat; tty; echo spoken > /dev/tty")).splitlines()
    pid, _, _, _, group, session, tty_number, foreground = stat.split()[:8]
    assert pid == group == session == foreground
    assert tty_number != "0"
    assert tty.startswith("/dev/pts/")
    assert said == "spoken"


def test_a_pipe_session_has_no_terminal(run):
    """setsid leaves it without a controlling terminal, and pipes give it none."""
    assert run(pipe("cut -d' ' -f7 /proc/$$/stat")).strip() == "0"


def test_the_window_has_its_size_from_the_first_instruction(run):
    """The size is set before the fork: no SIGWINCH is needed."""
    assert run(program("stty", "size", cols=132, rows=43)).split() == ["43", "132"]


def test_pipes_are_separate_and_enlarged(keeper, supervisor):
    """stdout and stderr are two streams; the pipe holds what was wished for, as far as it is allowed."""
    supervisor.create("s")
    size = "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))"
    supervisor.run("s", 1, program("python3", "-c", size, io=Io.PIPE, pipe_bytes=256 << 10, env=dict(os.environb)))
    supervisor.run("s", 2, pipe("echo wrong >&2"))
    assert keeper.output("s") == b"262144\n"
    assert keeper.output("s", "err") == b"wrong\n"


def test_directory_and_umask(run):
    """Both as given."""
    assert run(pipe("pwd; umask", cwd=b"/usr/bin", umask=0o027)).split() == ["/usr/bin", "0027"]


def test_limits_priority_and_oom_score(run):
    """Soft and hard limits by number; the nice value; the score that the OOM killer reads."""
    limits = {resource.RLIMIT_NOFILE: (50, 60), resource.RLIMIT_CORE: (0, 0)}
    script = "ulimit -Sn; ulimit -Hn; ulimit -c; cut -d' ' -f19 /proc/$$/stat; cat /proc/self/oom_score_adj"
    assert run(pipe(script, rlimits=limits, nice=5, oom_score_adj=500)).split() == ["50", "60", "0", "5", "500"]


def test_the_fd_limit_is_the_one_that_the_keeper_was_started_with(shm_dir):
    """The keeper raises its own to the hard limit; programs are not to notice."""
    with running_keeper(shm_dir, wrapper=("prlimit", "--nofile=500:4000")) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        supervisor.run("s", 1, pipe("ulimit -Sn; ulimit -Hn"))
        assert keeper.output("s").split() == [b"500", b"4000"]
        assert resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE) == (4000, 4000)


@as_root
@pytest.mark.parametrize("io", Io)
def test_credentials(run, io):
    """Uid, gid and exactly the groups given."""
    script = "id -u; id -g; id -G"
    spec = shell(script, io=io, uid=NOBODY, gid=NOBODY, groups=(NOBODY, 12, 20))
    assert run(spec).split("\n")[:3] == [f"{NOBODY}{end}" for end in ("\r" * (io is Io.PTY),) * 2] + [
        f"{NOBODY} 12 20" + "\r" * (io is Io.PTY)
    ]


@as_root
@pytest.mark.parametrize("io", Io)
def test_another_user_owns_its_terminal_and_its_pipes(run, io):
    """So that it may open /dev/stdout and /dev/tty again."""
    spec = shell("stat -L -c %u:%a /proc/self/fd/0; echo again > /dev/stdout", io=io, uid=NOBODY, gid=NOBODY, groups=())
    owner, again = run(spec).split()
    assert owner == f"{NOBODY}:620" if io is Io.PTY else f"{NOBODY}:600"
    assert again == "again"


@as_root
def test_the_cgroup_is_entered_before_exec(run, tmp_path):
    """ "0" is written into each file: to the kernel it means whoever writes."""
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.touch()
    run(program("true", io=Io.PIPE, cgroup_procs=tuple(map(str, files))))
    assert [file.read_text() for file in files] == ["0", "0"]


# ---- what can fail


def test_no_such_program(failure):
    """Looked for along PATH, the error names what was asked for."""
    failed = failure(program("no-such-program"))
    assert (failed.errno, failed.phase, failed.path) == (errno.ENOENT, Phase.EXEC, b"no-such-program")
    assert failed.message == os.strerror(errno.ENOENT)


def test_a_program_that_may_not_be_executed(failure, tmp_path):
    """EACCES names the file that was found, also when PATH goes on behind it."""
    (tmp_path / "denied").write_text("#!/bin/sh\n")
    failed = failure(program("denied", env={b"PATH": os.fsencode(tmp_path) + b":/usr/bin"}))
    assert (failed.errno, failed.path) == (errno.EACCES, os.fsencode(tmp_path / "denied"))


def test_path_goes_on_behind_a_file_that_may_not_be_executed(run, tmp_path):
    """The first one that can be executed is the one."""
    (tmp_path / "true").write_text("")
    run(program("true", env={b"PATH": os.fsencode(tmp_path) + b":/usr/bin:/bin"}, io=Io.PIPE))


def test_a_file_that_is_no_program(failure, tmp_path):
    """ENOEXEC is told, no shell is tried."""
    file = tmp_path / "words"
    file.write_text("echo no interpreter line\n")
    file.chmod(0o755)
    failed = failure(program(str(file)))
    assert (failed.errno, failed.phase, failed.path) == (errno.ENOEXEC, Phase.EXEC, os.fsencode(file))


def test_too_many_arguments(failure):
    """The kernel's own limit, reported like any other failure of exec."""
    failed = failure(program("true", "x" * (200 << 10)))
    assert (failed.errno, failed.phase) == (errno.E2BIG, Phase.EXEC)


def test_an_argument_that_cannot_be_passed(failure):
    """A NUL ends a C string: EINVAL, never a traceback."""
    failed = failure(program("true", b"a\0b"))
    assert (failed.errno, failed.phase) == (errno.EINVAL, Phase.EXEC)


def test_no_such_directory(failure):
    """The directory is named, not the program."""
    failed = failure(program("true", cwd=b"/no/such/place"))
    assert (failed.errno, failed.phase, failed.path) == (errno.ENOENT, Phase.DIRECTORY, b"/no/such/place")


@as_root
def test_a_directory_that_the_user_may_not_enter(failure, tmp_path):
    """It is entered with the user's rights, not with ours."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    failed = failure(program("true", cwd=os.fsencode(closed), uid=NOBODY, gid=NOBODY, groups=(), io=Io.PIPE))
    assert (failed.errno, failed.phase) == (errno.EACCES, Phase.DIRECTORY)


def test_no_such_cgroup(failure):
    """The file is named."""
    failed = failure(program("true", cgroup_procs=("/no/such/cgroup.procs",)))
    assert (failed.errno, failed.phase, failed.path) == (errno.ENOENT, Phase.CGROUP, b"/no/such/cgroup.procs")


def test_a_limit_that_does_not_exist(failure):
    """Python's ValueError is the kernel's EINVAL."""
    failed = failure(program("true", rlimits={99: (1, 1)}))
    assert (failed.errno, failed.phase) == (errno.EINVAL, Phase.LIMITS)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
@pytest.mark.parametrize("io", Io)
def test_another_user_without_the_right_to_become_one(shm_dir, io):
    """EPERM, for a terminal already when it cannot be given away."""
    wrapper = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    with running_keeper(shm_dir, wrapper=wrapper) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        supervisor.start("s", 1, program("true", uid=NOBODY, io=io))
        failed = supervisor.expect(StartFailed)
        assert (failed.errno, failed.phase) == (errno.EPERM, Phase.CREDENTIALS)


def test_a_core_dump_or_a_signal_is_told_apart_from_an_exit(supervisor):
    """The program's own exit 137 is not a kill."""
    supervisor.create("s")
    assert supervisor.run("s", 1, shell("exit 137")).status == Exited(137)
    killed = supervisor.run("s", 2, shell("kill -KILL $$")).status
    assert (killed.signal, killed.core) == (signal.SIGKILL, False)
