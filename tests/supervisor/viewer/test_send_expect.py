"""`ringctl send` and `ringctl expect` at a real session, without a supervisor."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from childproc.spec import Io
from supervisor.keeper.messages import CloseStdin
from tests.supervisor.viewer.terminal import ringctl
from tests.support.fleet import RunningFleet, running_fleet
from tests.support.keeper import PATIENCE_S, program, shell

SHELL = program("sh", env={b"PS1": b"$ ", b"TERM": b"xterm"})


@pytest.fixture
def fleet(shm_dir: str, tmp_path: Path) -> Iterator[RunningFleet]:
    with running_fleet(shm_dir, str(tmp_path), steady_s=0.0) as running:
        yield running


def run(fleet: RunningFleet, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        ringctl(fleet.runtime_dir, *words), input=stdin, capture_output=True, timeout=PATIENCE_S, check=False
    )
    return done.returncode, done.stdout.decode().strip(), done.stderr.decode().strip()


def wait_for(fleet: RunningFleet, session: str, text: bytes) -> None:
    logged = b""
    while text not in logged:
        logged = fleet.wait_logged(session, len(logged) + 1)


# ---- send


def test_a_line_is_accepted_by_a_shell(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    wait_for(fleet, "s", b"$ ")
    assert run(fleet, "send", "s", "echo one''two") == (0, "accepted", "")
    wait_for(fleet, "s", b"onetwo")


def test_a_paste_is_bracketed_where_the_program_asked_for_it(fleet: RunningFleet) -> None:
    """Enter is a write of its own behind it; an end mark within the text is no end."""
    fleet.start("p", shell(r"stty raw -echo; printf '\033[?2004hready'; exec cat -v"))
    wait_for(fleet, "p", b"ready")
    code, said, _ = run(fleet, "send", "p", "two\nlines\x1b[201~!")
    assert (code, said) == (0, "accepted")
    wait_for(fleet, "p", b"^[[200~two^Mlines!^[[201~^M")


def test_enter_is_a_write_of_its_own(fleet: RunningFleet) -> None:
    """A program that takes what comes together for a paste sees a key."""
    reading = "import os, tty\ntty.setraw(0)\nprint('ready')\nwhile True: print('read', len(os.read(0, 9999)))"
    fleet.start("p", program(sys.executable, "-u", "-S", "-c", reading))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "12345") == (0, "accepted", "")
    wait_for(fleet, "p", b"read 5\nread 1\n")


def test_without_brackets_lines_end_with_enter(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty raw -echo; echo ready; exec cat -v"))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "--no-enter", "--stdin", stdin=b"two\nlines\n")[0] == 0
    wait_for(fleet, "p", b"two^Mlines")
    assert b"lines^M" not in fleet.log("p")


def test_what_a_program_hides_is_written_and_not_echoed(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty -echo; echo ready; read -r secret; exec sleep 1000"))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "--no-enter", "secret") == (0, "written", "")


def test_what_nobody_reads_stays_queued(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty raw -echo; echo ready; exec sleep 1000"))
    wait_for(fleet, "p", b"ready")
    code, said, why = run(fleet, "send", "p", "--timeout", "300ms", "--stdin", stdin=b"x" * 200_000)
    assert (code, said) == (1, "queued")
    assert "stays queued" in why


def test_a_megabyte_goes_in_whole(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty raw -echo; echo ready; head -c 1000000 | wc -c; exec sleep 1000"))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "--no-enter", "--stdin", stdin=b"x" * 1_000_000)[0] == 0
    wait_for(fleet, "p", b"1000000")


def test_a_line_that_the_terminal_would_cut_is_refused(fleet: RunningFleet) -> None:
    fleet.start("p", shell("stty -echo; echo ready; exec cat"))
    wait_for(fleet, "p", b"ready")
    code, said, why = run(fleet, "send", "p", "x" * 5000)
    assert (code, said) == (1, "")
    assert "4095 bytes" in why


def test_keys_by_name_follow_the_programs_modes(fleet: RunningFleet) -> None:
    fleet.start("p", shell(r"stty raw -echo; printf '\033[?1hready'; exec cat -v"))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "--key", "Up", "--key", "C-Right", "--key", "F5", "--key", "M-x")[0] == 0
    wait_for(fleet, "p", b"^[OA^[[1;5C^[[15~^[x")


def test_ctrl_c_by_name(fleet: RunningFleet) -> None:
    fleet.start("p", shell("trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.01; done"))
    wait_for(fleet, "p", b"ready")
    assert run(fleet, "send", "p", "--key", "C-c")[0] == 0
    wait_for(fleet, "p", b"interrupted")


def test_pipes_get_bytes_and_an_end(fleet: RunningFleet) -> None:
    fleet.start("p", shell("exec wc -c", io=Io.PIPE))
    assert run(fleet, "send", "p", "--stdin", "--no-enter", stdin=b"a\nb\n\n") == (0, "written", "")
    assert run(fleet, "send", "p", "x", "--eof")[0] == 0
    fleet.supervisor.ask(CloseStdin, "p", 1)  # the keeper's half, for which the supervisor asks
    wait_for(fleet, "p", b"6")


def test_json_says_the_same(fleet: RunningFleet) -> None:
    fleet.start("s", SHELL)
    wait_for(fleet, "s", b"$ ")
    code, said, _ = run(fleet, "send", "s", "echo", "--json")
    assert code == 0
    assert json.loads(said) == {"version": 1, "session": "s", "state": "accepted", "bytes": 4}


def test_who_attached_does_not_keep_a_sender_out(fleet: RunningFleet) -> None:
    """A lease is for those who stay."""
    fleet.start("s", SHELL)
    wait_for(fleet, "s", b"$ ")
    os.kill(fleet.worker_pid("s"), signal.SIGKILL)
    assert run(fleet, "send", "s", "echo one''two")[0] == 0
    wait_for(fleet, "s", b"onetwo")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["send", "s"], 2, "say what to send"),
        (["send", "s", "--key", "Entr"], 2, "did you mean Enter"),
        (["send", "s", "text"], 1, "does not run"),
        (["send", "nobody", "text"], 4, "no session nobody"),
        (["expect", "s", "("], 2, "REGEX"),
        (["expect", "nobody", "x"], 4, "no session nobody"),
        (["attach", "s"], 2, "needs a terminal"),
    ],
)
def test_refusals(fleet: RunningFleet, words: list[str], code: int, why: str) -> None:
    fleet.create("s")
    found, said, complaint = run(fleet, *words)
    assert (found, said) == (code, "")
    assert why in complaint
    assert complaint.count("\n") == 0


# ---- expect


def expecting(fleet: RunningFleet, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ringctl(fleet.runtime_dir, "expect", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def until_subscribed(fleet: RunningFleet) -> None:
    while not fleet.router_status().subscribers:
        pass


@pytest.mark.parametrize("killed", [False, True])
def test_new_output_is_found_over_a_routers_death(fleet: RunningFleet, *, killed: bool) -> None:
    """Also where the match comes in pieces, one before and one after."""
    fleet.start("s", shell("stty -echo; read x; printf 'result: '; read x; echo 42 done; exec sleep 1000"))
    with expecting(fleet, "s", r"result: (\d+) (?P<how>\w+)", "--json") as waiting:
        until_subscribed(fleet)
        run(fleet, "send", "s", "go")
        wait_for(fleet, "s", b"result")
        if killed:
            os.kill(fleet.service_pid("router"), signal.SIGKILL)
        run(fleet, "send", "s", "on")
        said, _ = waiting.communicate(timeout=PATIENCE_S)
    found = json.loads(said)
    assert waiting.returncode == 0
    assert (found["matched"], found["match"]) == (True, "result: 42 done")
    assert (found["groups"], found["named"]) == (["42", "done"], {"how": "done"})


def test_the_past_is_searched_when_asked_for(fleet: RunningFleet) -> None:
    fleet.start("s", shell("echo the answer is 42; seq 100000; exec sleep 1000"))
    wait_for(fleet, "s", b"100000")
    assert run(fleet, "expect", "s", r"answer is (\d+)", "--since-start") == (0, "42", "")
    assert run(fleet, "expect", "s", r"\r\n99999\r", "--last", "100")[0] == 0
    code, said, why = run(fleet, "expect", "s", "answer", "--last", "100", "--timeout", "100ms", "--json")
    assert (code, json.loads(said)["reason"]) == (1, "timeout")
    assert "not within 0.1 s" in why


def test_where_a_match_is_is_told(fleet: RunningFleet) -> None:
    fleet.start("s", shell("printf 'abc needle def'; exec sleep 1000"))
    wait_for(fleet, "s", b"def")
    _, said, _ = run(fleet, "expect", "s", "needle", "--since-start", "--json")
    found = json.loads(said)
    assert (found["match"], found["epoch"], found["offset"], found["groups"]) == ("needle", 1, 4, [])


def test_an_end_ends_the_wait(fleet: RunningFleet) -> None:
    fleet.start("s", shell("read x; exit 3"))
    with expecting(fleet, "s", "never") as waiting:
        until_subscribed(fleet)
        run(fleet, "send", "s", "go", "--timeout", "2s")
        _, why = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 1
    assert b"it ended" in why
