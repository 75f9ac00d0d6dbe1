"""python -m tests.supervisor.viewer.ringctl RUNTIME_DIR RING_DIR COMMAND...: attach, send, expect without a daemon."""

import sys
from dataclasses import dataclass

import click

from supervisor.cli.attach_commands import attach_command
from supervisor.cli.exits import Refusal


@dataclass(frozen=True)
class Place:
    runtime_dir: str
    ring_dir: str
    session: str


@dataclass(frozen=True)
class Places:
    runtime_dir: str
    ring_dir: str

    def place(self, session: str) -> Place:
        return Place(self.runtime_dir, self.ring_dir, session)


@click.group()
@click.argument("runtime_dir")
@click.argument("ring_dir")
@click.pass_context
def ringctl(context: click.Context, runtime_dir: str, ring_dir: str) -> None:
    context.obj = Places(runtime_dir, ring_dir)


for command in (attach_command,):
    ringctl.add_command(command)

if __name__ == "__main__":
    try:
        ringctl()
    except Refusal as refusal:
        print(f"ringctl: {refusal}", file=sys.stderr)
        sys.exit(refusal.code)
