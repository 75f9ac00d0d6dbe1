"""A person at a session: a real terminal, real keeper, worker and router, whoever is killed."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from childproc.spec import Io
from ipc.mode_tracker import ModeTracker
from ipc.terminal_modes import Modes
from tests.supervisor.viewer import full_screen_modes
from tests.supervisor.viewer.terminal import Terminal, ringctl
from tests.support.fleet import RunningFleet, running_fleet
from tests.support.keeper import program, shell

DETACH = b"\x1c"
PROMPT = "$"
SHELL = program("sh", env={b"PS1": b"$ ", b"TERM": b"xterm"})
FULL_SCREEN = str(Path(full_screen_modes.__file__).with_name("full_screen.py"))


@pytest.fixture
def fleet(shm_dir: str, tmp_path: Path) -> Iterator[RunningFleet]:
    with running_fleet(shm_dir, str(tmp_path), steady_s=0.0) as running:
        yield running


def attach(fleet: RunningFleet, session: str, *options: str, **more: object) -> Terminal:
    return Terminal(ringctl(fleet.runtime_dir, "attach", session, *options), **more)


def modes_of(terminal: Terminal) -> Modes:
    """What the viewer left the terminal in."""
    tracker = ModeTracker()
    tracker.feed(bytes(terminal.output))
    return tracker.modes


def is_as_before(terminal: Terminal) -> bool:
    modes = modes_of(terminal)
    return terminal.is_restored and modes.alternate == 0 and modes.private == {} and not modes.keypad


def run(terminal: Terminal, command: str, answer: str) -> None:
    terminal.type(command.encode() + b"\r")
    terminal.until_text(answer)


# ---- coming and going


def test_type_and_see_and_leave(fleet: RunningFleet) -> None:
    """The program runs on after the detach, and the terminal is what it was."""
    fleet.start("s", SHELL)
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        run(terminal, "echo one''two", "onetwo")
        terminal.type(b"kept=yes\r" + DETACH)
        assert terminal.wait() == 0
        assert is_as_before(terminal)
        assert "[detached from s]" in terminal.text
    with attach(fleet, "s") as terminal:
        terminal.until_text("onetwo")
        run(terminal, "echo it was $kept", "it was yes")


@pytest.mark.parametrize("sent", [b"\x1b[92;5u", b"\x1b[27;5;92~"])
def test_the_detach_key_is_known_in_newer_keyboard_protocols(fleet: RunningFleet, sent: bytes) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        terminal.type(sent)
        assert terminal.wait() == 0


def test_another_detach_key(fleet: RunningFleet) -> None:
    fleet.start("s", shell("stty raw -echo; exec cat -v"))
    with attach(fleet, "s", "--detach-key", "C-a d") as terminal:
        terminal.until(lambda: terminal.is_raw)
        terminal.type(b"\x1c\x01x\x01")
        terminal.until_text("^\\^Ax")
        terminal.type(b"d")
        assert terminal.wait() == 0


def test_ctrl_c_interrupts_the_program(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        terminal.type(b"sleep 1000\r")
        terminal.until_text("sleep 1000")
        terminal.type(b"\x03")
        terminal.until(lambda: terminal.text.count(PROMPT) == 2)
        run(terminal, "echo al''ive", "alive")


def test_the_session_takes_the_terminals_size_and_follows_it(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s", cols=91, rows=33) as terminal:
        terminal.until_text(PROMPT)
        run(terminal, "stty size", "33 91")
        terminal.resize(70, 20)
        terminal.type(b"while [ \"$(stty size)\" != '20 70' ]; do sleep 0.01; done; echo follow''ed\r")
        terminal.until_text("followed")


def test_a_fixed_size_stays(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s", "--resize", "fixed", cols=91, rows=33) as terminal:
        terminal.until_text(PROMPT)
        run(terminal, "stty size", "24 80")


# ---- what is shown


@pytest.mark.parametrize("megabytes", [0, 0.5, 12])
def test_a_full_screen_program_looks_as_if_watched_from_the_start(fleet: RunningFleet, megabytes: float) -> None:
    """After megabytes of output without a clear the screen is right, the modes are on, typing works, and all of it is
    gone when the program or the viewer leaves."""
    fleet.start("f", program(sys.executable, "-S", FULL_SCREEN, str(megabytes)))
    fleet.wait_logged("f", int(megabytes * 0.9e6) + 2000)
    with attach(fleet, "f") as terminal:
        terminal.until_text("DONE")
        terminal.until(lambda: terminal.lines == full_screen_modes.expected(80, 24, "DONE"))
        assert terminal.screen.is_alternate
        assert full_screen_modes.are_on(modes_of(terminal))
        terminal.resize(100, 30)
        terminal.until(lambda: terminal.lines == full_screen_modes.expected(100, 30, "DONE"))
        terminal.type(b"abc")
        terminal.until(lambda: terminal.lines[-1] == "DONE abc")
        terminal.type(DETACH)
        assert terminal.wait() == 0
        assert is_as_before(terminal)
        assert not terminal.screen.is_alternate


def test_the_main_screen_is_there_when_the_program_leaves_the_other(fleet: RunningFleet) -> None:
    fleet.start("s", program("sh", env={b"PS1": b"$ ", b"TERM": b"xterm", b"PYTHON": os.fsencode(sys.executable)}))
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        run(terminal, "echo before''hand", "beforehand")
        terminal.type(f"$PYTHON -S {FULL_SCREEN} 2\r".encode())
        terminal.until_text("DONE")
        terminal.type(DETACH)
        terminal.wait()
    with attach(fleet, "s") as terminal:
        terminal.until(lambda: terminal.lines == full_screen_modes.expected(80, 24, "DONE"))
        terminal.type(b"q")
        terminal.until_text("beforehand")
        assert not terminal.screen.is_alternate
        assert "row 1" not in terminal.text


@pytest.mark.skipif(not shutil.which("vim"), reason="no vim: apt install vim")
@pytest.mark.parametrize("way", ["redrawing", "scrolling"])
def test_vim_after_10_mb_looks_as_in_a_terminal_of_its_own(fleet: RunningFleet, tmp_path: Path, way: str) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"line {n} of a text\n" for n in range(300)))
    argv = [shutil.which("vim") or "", "-u", "NONE", "-N", "-n", "-i", "NONE", "--cmd", "set mouse=a ruler", str(text)]
    busy = {
        "redrawing": b":for i in range(25000) | redraw! | endfor\r",
        "scrolling": b":for i in range(12000) | exe 'normal! 100Gzt' | redraw | exe 'normal! 1Gzt' | redraw | endfor\r",
    }[way]
    end = b":normal! 100Gzt\r:set number\r"
    environment = {b"TERM": b"xterm-256color", b"HOME": os.fsencode(tmp_path)}
    fleet.start("v", program(*argv, env=environment))
    with Terminal(argv) as direct, attach(fleet, "v", draws=False) as first:
        direct.until_text("line 1 of a text")
        direct.type(end)
        direct.until_text("122 line 121")
        direct.until_quiet()
        first.until(lambda: b"line 1 of a text" in first.output)
        first.type(busy + end)
        first.until(lambda: b"122" in first.output[-30_000:] and b"line 121" in first.output[-30_000:], patience_s=60)
        fleet.wait_logged("v", 10_000_000)
        first.type(DETACH)
        first.wait()
        with attach(fleet, "v") as second:
            second.until(lambda: second.lines[:-1] == direct.lines[:-1])
            second.until_quiet()
            assert second.lines[:-1] == direct.lines[:-1]
            assert second.lines[-1].split() == ["100,1", "35%"]  # a repaint ends the echo of the last command
            assert second.screen.is_alternate
            second.type(b":q!\r")
            second.until_text("ended")
            assert not second.screen.is_alternate


def test_old_questions_are_not_answered_again(fleet: RunningFleet) -> None:
    """Not what the replay asks reaches the program; what it asks now does."""
    script = r"stty raw -echo; printf '\033[6n\033[c\033[>c\033]11;?\033\\asked'; exec cat -v"
    fleet.start("q", shell(script))
    fleet.wait_logged("q", 10)
    with attach(fleet, "q") as terminal:
        terminal.until_text("asked")
        terminal.type(b"typed")
        terminal.until_text("typed")
        terminal.until_quiet()
        assert "asked" + "typed" in terminal.text
        assert "^[" not in terminal.text


def test_a_question_of_the_present_is_answered(fleet: RunningFleet) -> None:
    fleet.start("q", shell(r"stty raw -echo; read -r x; printf '\033[c'; exec cat -v"))
    with attach(fleet, "q") as terminal:
        terminal.until(lambda: b"\x1b[5n" in terminal.output)
        terminal.type(b"\n")
        terminal.until_text("^[[?62;22c")


def test_a_terminal_that_answers_nothing_is_typed_at_all_the_same(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s", answers=False) as terminal:
        terminal.until_text(PROMPT)
        run(terminal, "echo one''two", "onetwo")


def test_a_terminal_that_cannot_follow_is_put_ahead(fleet: RunningFleet) -> None:
    """It does not hold the program back, and shows the end as it is."""
    fleet.start(
        "s", shell("read -r x; yes 'a line of a flood' | head -c 30000000; echo; echo the end; exec sleep 1000")
    )
    with attach(fleet, "s") as terminal:
        terminal.until(lambda: b"\x1b[5n" in terminal.output)
        terminal.type(b"\r")
        fleet.wait_logged("s", 30_000_000)  # nobody looks at the terminal meanwhile
        terminal.until(lambda: terminal.lines[22:] == ["the end", ""] or "the end" in terminal.text)
        assert len(terminal.output) < 10_000_000


# ---- who is killed


@pytest.mark.parametrize("victim", ["router", "worker", "supervisor", "keeper"])
def test_the_viewer_goes_on_when_ours_are_killed(fleet: RunningFleet, victim: str) -> None:
    """Every byte is shown once, before and after, and what is typed goes in once."""
    fleet.start("s", SHELL)
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        for number in range(1, 4):
            run(terminal, f"echo round''{number}", f"round{number}")
            kill(fleet, victim, "s")
        run(terminal, "echo the e''nd", "the end")
        terminal.until(lambda: terminal.text.endswith("$"))
        shown = [line for line in terminal.lines if line and "echo" not in line and line != "$"]
        assert shown == ["round1", "round2", "round3", "the end"], terminal.text
        terminal.type(DETACH)
        assert terminal.wait() == 0


def kill(fleet: RunningFleet, victim: str, session: str) -> None:
    """A process that is being started again just now has died already."""
    match victim:
        case "keeper":
            fleet.kill_keeper()
            fleet.next_keeper()
            return
        case "router":
            pid = fleet.service_pid("router")
        case "worker":
            pid = fleet.worker_pid(session)
        case _:
            pid = fleet.supervisor.pid
    if pid:
        with contextlib.suppress(ProcessLookupError):  # in the table still, though dead of the last kill
            os.kill(pid, signal.SIGKILL)
    if victim == "supervisor":
        fleet.replace_supervisor()
        fleet.supervisor.hello()


@pytest.mark.parametrize("victim", ["router", "worker", "keeper"])
def test_output_is_whole_while_ours_are_killed(fleet: RunningFleet, victim: str) -> None:
    """Of a stream that is shown live, no byte is missing or shown twice."""
    counting = 'read x; i=0; while [ $i -lt 8000 ]; do echo "<$i>"; i=$((i+1)); done; echo over'
    fleet.start("s", shell(f"stty -echo; {counting}; exec sleep 1000"))
    with attach(fleet, "s", draws=False) as terminal:
        terminal.until(lambda: b"\x1b[5n" in terminal.output)
        terminal.type(b"\r")
        for mark in (b"<300>", b"<3000>", b"<6000>"):
            terminal.until(lambda mark=mark: mark in terminal.output)
            kill(fleet, victim, "s")
        terminal.until(lambda: b"over" in terminal.output)
        shown = re.sub(rb"\x1b7.*?\x1b8", b"", terminal.output)  # where a router took a second to come back
        assert b"".join(b"<%d>\r\n" % number for number in range(8000)) in shown


def test_a_killed_viewer_leaves_the_terminal_as_it_was(fleet: RunningFleet) -> None:
    fleet.start("f", program(sys.executable, "-S", FULL_SCREEN, "0"))
    with attach(fleet, "f") as terminal:
        terminal.until_text("DONE")
        terminal.until(lambda: full_screen_modes.are_on(modes_of(terminal)))
        terminal.kill()
        terminal.until(lambda: is_as_before(terminal))
        assert not terminal.screen.is_alternate


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_viewer_that_is_ended_leaves_the_terminal_as_it_was(fleet: RunningFleet, number: int) -> None:
    fleet.start("f", program(sys.executable, "-S", FULL_SCREEN, "0"))
    with attach(fleet, "f") as terminal:
        terminal.until_text("DONE")
        terminal.kill(number)
        assert terminal.wait() == 1
        assert is_as_before(terminal)


def test_a_viewer_ends_with_its_terminal(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    terminal = attach(fleet, "s")
    terminal.until_text(PROMPT)
    terminal.hang_up()
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 1
    terminal.status = 1
    terminal.close()


def test_a_stopped_viewer_gives_the_terminal_back_and_takes_it_again(fleet: RunningFleet) -> None:
    fleet.start("f", program(sys.executable, "-S", FULL_SCREEN, "0"))
    with attach(fleet, "f") as terminal:
        terminal.until_text("DONE")
        terminal.kill(signal.SIGTSTP)
        os.waitid(os.P_PID, terminal.pid, os.WSTOPPED | os.WNOWAIT)
        terminal.until(lambda: is_as_before(terminal))
        terminal.kill(signal.SIGCONT)
        terminal.until(lambda: terminal.is_raw and full_screen_modes.are_on(modes_of(terminal)))
        terminal.until(lambda: terminal.lines == full_screen_modes.expected(80, 24, "DONE"))


# ---- several viewers


def test_one_types_and_the_others_watch(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s") as first, attach(fleet, "s", "--read-only") as watcher:
        first.until_text(PROMPT)
        run(first, "echo one''two", "onetwo")
        watcher.until_text("onetwo")
        with attach(fleet, "s") as second:
            second.until_text("somebody else types here")
            second.type(b"echo from the se''cond\r")
            watcher.type(b"echo from the watch''er\r")
            second.until(lambda: b"\a" in second.output)
            watcher.until(lambda: b"\a" in watcher.output)
            first.type(DETACH)
            first.wait()
            second.until(lambda: "somebody" not in second.text)
            run(second, "echo my t''urn", "my turn")
            assert "second" not in second.text
            assert "watcher" not in second.text


def test_stealing(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s") as first:
        first.until_text(PROMPT)
        run(first, "echo one''two", "onetwo")
        with attach(fleet, "s", "--steal") as thief:
            first.until_text("somebody else types here now")
            run(thief, "echo sto''len", "stolen")
            first.type(b"echo mi''ne\r")
            kill(fleet, "worker", "s")
            run(thief, "echo st''ill", "still")
            assert "mine" not in thief.text


# ---- much input


def test_a_megabyte_is_pasted_whole(fleet: RunningFleet) -> None:
    text = b"".join(b"%07d\n" % number for number in range(1 << 17))
    fleet.start("p", shell(f"stty raw -echo; echo ready; head -c {len(text)} | sha256sum; exec sleep 1000"))
    with attach(fleet, "p") as terminal:
        terminal.until_text("ready")
        terminal.type(text)
        terminal.until_text(hashlib.sha256(text).hexdigest())


def test_what_the_terminal_would_cut_is_refused_and_shown(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty -echo; echo ready; exec cat"))
    with attach(fleet, "p") as terminal:
        terminal.until_text("ready")
        terminal.type(b"x" * 6000)
        terminal.until_text("refused: canonical_line_too_long")


# ---- epochs


def test_a_viewer_stays_over_a_restart(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    with attach(fleet, "s") as terminal:
        terminal.until_text(PROMPT)
        terminal.type(b"exit\r")
        fleet.wait_end("s")
        terminal.until_text("s ended; waiting for its next start, C-\\ leaves")
        fleet.start("s", SHELL)
        terminal.until(lambda: terminal.text.endswith("$"))
        run(terminal, "echo ag''ain", "again")


def test_a_viewer_that_wants_to_leaves_with_the_session(fleet: RunningFleet) -> None:
    fleet.start("f", program(sys.executable, "-S", FULL_SCREEN, "0"))
    with attach(fleet, "f", "--exit-with-session") as terminal:
        terminal.until_text("DONE")
        os.kill(fleet.supervisor.row("f").pid, signal.SIGKILL)
        assert terminal.wait() == 0
        assert is_as_before(terminal)
        assert "[f ended]" in terminal.text


def test_a_session_that_does_not_run_is_waited_for(fleet: RunningFleet) -> None:
    fleet.create("s")
    with attach(fleet, "s") as terminal:
        terminal.until_text("waiting for its next start")
        fleet.start("s", SHELL)
        terminal.until_text(PROMPT)
        run(terminal, "echo he''re", "here")


def test_a_program_on_pipes_is_talked_to_by_lines(fleet: RunningFleet) -> None:
    fleet.start("p", shell('while read -r line; do echo "got $line"; echo err >&2; done', io=Io.PIPE))
    with attach(fleet, "p") as terminal:
        terminal.until(lambda: terminal.output.count(b"\x1b[2J") == 2)  # cleared, then the picture
        terminal.type(b"hello\r")
        terminal.until_text("got hello\nerr")
        terminal.type(DETACH)
        assert terminal.wait() == 0
        assert is_as_before(terminal)


# ---- refusals


def test_no_such_session(fleet: RunningFleet) -> None:
    with attach(fleet, "nobody") as terminal:
        assert terminal.wait() == 4
        assert "there is no session nobody" in terminal.text
        assert is_as_before(terminal)


def test_no_such_detach_key(fleet: RunningFleet) -> None:
    with attach(fleet, "s", "--detach-key", "C-Entr") as terminal:
        assert terminal.wait() == 2
        assert "no key is called 'C-Entr'" in terminal.text
