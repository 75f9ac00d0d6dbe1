"""The journal on disk: what a supervisor that comes back reads, and where it goes on writing."""

import os
from pathlib import Path

from supervisor.daemon.journal_file import JournalFile
from supervisor.lifecycle.events import ProgramStarted, StartRequested
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.session import Session

BOOT = "this boot"


class World:
    """A journal in a directory, and the one session that it is about."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal"
        self.said: list[str] = []
        self.session = Session("web")

    def opened(self, boot_id: str = BOOT) -> JournalFile:
        """By a supervisor that has just come: it reads, takes the session over, and goes on."""
        journal = JournalFile(str(self.path), boot_id, self.said.append)
        recovered = journal.recover()
        self.session = recovered.sessions.get("web", self.session)
        journal.go_on(recovered, [self.session])
        return journal

    def decide(self, journal: JournalFile, event: StartRequested | ProgramStarted) -> None:
        self.session, effects = step(self.session, event, 1.0)
        journal.decided(event, self.session, effects, 1.0)

    def inode(self) -> int:
        return os.stat(self.path).st_ino


def test_a_supervisor_goes_on_in_the_part_of_the_one_before_it(tmp_path: Path) -> None:
    """And the one after it reads what both have written."""
    world = World(tmp_path)
    first = world.opened()
    world.decide(first, StartRequested())
    inode = world.inode()
    second = world.opened()
    world.decide(second, ProgramStarted(1, 77, 1.0))
    third = world.opened()
    assert (world.inode(), world.session.pid, len(third.recent("web"))) == (inode, 77, 2)
    assert world.said == []
    for journal in (first, second, third):
        journal.close()


def test_a_part_that_was_cut_short_is_read_and_not_gone_on_with(tmp_path: Path) -> None:
    """The record that its writer was killed in is left out; the next part is whole."""
    world = World(tmp_path)
    first = world.opened()
    world.decide(first, StartRequested())
    whole_bytes, inode = world.path.stat().st_size, world.inode()
    world.decide(first, ProgramStarted(1, 77, 1.0))
    first.close()
    os.truncate(world.path, whole_bytes + 20)
    second = world.opened()
    assert (world.session.epoch, world.session.pid) == (1, 0)
    assert world.inode() != inode
    assert len(world.said) == 1
    second.close()


def test_after_a_boot_a_new_part_begins(tmp_path: Path) -> None:
    """Its times are of another clock."""
    world = World(tmp_path)
    world.opened().close()
    inode = world.inode()
    world.opened("next boot").close()
    assert world.inode() != inode


def test_a_session_that_the_part_does_not_have_begins_a_new_one(tmp_path: Path) -> None:
    """Or its first decision would have nothing to start from."""
    world = World(tmp_path)
    world.opened().close()
    inode = world.inode()
    journal = JournalFile(str(world.path), BOOT, world.said.append)
    recovered = journal.recover()
    journal.go_on(recovered, [*recovered.sessions.values(), Session("new")])
    journal.close()
    assert world.inode() != inode
    last = JournalFile(str(world.path), BOOT, world.said.append)
    assert last.recover().sessions.keys() == {"web", "new"}


def test_where_the_newer_part_is_gone_the_older_one_tells(tmp_path: Path) -> None:
    """A part is renamed before the next one gets its name."""
    world = World(tmp_path)
    first = world.opened()
    world.decide(first, StartRequested())
    first.begin([world.session])
    first.close()
    world.path.unlink()
    world.session = Session("web")
    world.opened().close()
    assert world.session.epoch == 1
