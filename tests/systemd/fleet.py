"""A fleet with books of its own, as a service of a machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.systemd.machine import Machine

COUNTER = """
import sys, time
number = 0
while True:
    number += 1
    print(number, flush=True)
    if "both" in sys.argv:
        print(number, file=sys.stderr, flush=True)
    time.sleep(0.002)
"""
FILE = """
[fleet]
name = "agents"

[session.tick]
command = ["python3", "{here}/counter.py"]
start_seconds = 0.1

[session.web]
io = "pipe"
command = ["python3", "{here}/counter.py", "both"]
start_seconds = 0.1

[session.cat]
command = ["cat"]
start_seconds = 0.1
"""
NAMES = ("cat", "tick", "web")
LOGS = ("tick.log", "web.log", "web.err.log")
STORED_FDS = 5  # two terminals, three pipes


@dataclass
class Service:
    machine: Machine
    config: str
    log_dir: str
    unit: str = "ringvisor-agents"
    user: str = ""

    def ringctl(self, *words: str) -> str:
        return self.machine.run("ringctl", "-c", self.config, *words, user=self.user)

    def systemctl(self, *words: str) -> str:
        return self.machine.run("systemctl", *(["--user"] if self.user else []), *words, user=self.user)

    def facts(self, suffix: str = "") -> Mapping[str, str]:
        return self.machine.facts(f"{self.unit}{suffix}.service", user=self.user)

    @property
    def main_pid(self) -> int:
        return int(self.facts()["MainPID"])

    def sessions(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in json.loads(self.ringctl("status", "--json"))["sessions"]}

    def runs(self) -> dict[str, tuple[int, int]]:
        """Pid and epoch, by session."""
        return {name: (one["pid"], one["epoch"]) for name, one in self.sessions().items()}

    def is_up(self) -> bool:
        """Active, and every session RUNNING. What fails meanwhile is not there yet."""
        facts = self.facts()
        if (facts["ActiveState"], facts["SubState"]) != ("active", "running"):
            return False
        words = ("ringctl", "-c", self.config, "status", "--json")
        answer = self.machine.try_run(*words, user=self.user)
        return answer.returncode == 0 and all(
            one["state"] == "RUNNING" for one in json.loads(answer.stdout)["sessions"]
        )

    def wait_up(self, *, after: int = 0) -> None:
        """`after`: the pid of a main process that must have gone."""
        self.machine.until(lambda: self.main_pid not in (0, after) and self.is_up())

    def cgroup(self, suffix: str = "") -> str:
        """Every process in there, as ps has it."""
        script = 'find /sys/fs/cgroup -path "*$1*" -name cgroup.procs -exec cat {} + | sort -un'
        pids = self.machine.run("sh", "-ec", script, "sh", self.facts(suffix)["ControlGroup"] + "/").split()
        commands = [self.machine.try_run("cat", f"/proc/{pid}/cmdline").stdout for pid in pids]
        return "\n".join(command.replace("\0", " ") for command in commands)

    def our_pids(self) -> list[int]:
        """Everything of ours that serves the fleet: keeper, template, supervisor, router, workers."""
        script = (
            'for p in /proc/[0-9]*; do case "$(tr "\\0" " " <$p/cmdline)" in ringvisor*) echo ${p#/proc/};; esac; done'
        )
        return [int(pid) for pid in self.machine.shell(f"{{ {script}; }} 2>/dev/null").split()]

    def echoes(self, word: str) -> bool:
        """Whether the terminal of cat works both ways."""
        self.ringctl("send", "cat", word)
        self.machine.until(lambda: self.machine.read(f"{self.log_dir}/cat.log").count(word) >= 2)
        return True

    def _whole_lines(self, log: str) -> list[str]:
        """The last one may be half there."""
        return self.machine.read(f"{self.log_dir}/{log}").rpartition("\n")[0].split()

    def assert_balanced(self, epochs: int) -> None:
        """Nothing is missing, nothing is there twice: each epoch counts from 1."""
        said = self.ringctl("verify", *NAMES)
        assert said.count(": balanced,") == 4, said
        assert said.count(" 0 gaps") == 4, said
        for name in LOGS:
            numbers = [int(word) for word in self._whole_lines(name)]
            begins = [index for index, number in enumerate(numbers) if number == 1]
            assert len(begins) == epochs, (name, begins)
            for begin, end in zip(begins, [*begins[1:], len(numbers)], strict=True):
                assert numbers[begin:end] == list(range(1, end - begin + 1)), name
