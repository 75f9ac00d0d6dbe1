"""From a path to a Fleet: the shell around `parse`. Finds the file, follows includes, looks up what parsing claimed.

An error anywhere is one ConfigErrors with all of them, and no Fleet: whoever has a running one keeps it. A file that
is no TOML at all hides only its own further errors, the other files are still looked at.
"""

import glob
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from config.claims import verify
from config.errors import ConfigErrors, Problem
from config.kinds import TEXT, Scope, absolute
from config.located import Node, Source, TooDeepError, locate
from config.locations import Surroundings, config_candidates
from config.model import Fleet, FleetSettings
from config.parse import parse
from config.report import Report
from config.settings import fleet_excerpt, read_settings
from config.syntax import syntax_problem
from config.text_file import TextFileError, read_text


class Loaded(Struct, frozen=True):
    fleet: Fleet
    warnings: tuple[Problem, ...]
    files: tuple[str, ...]  # the main file and all it includes


def surroundings() -> Surroundings:
    """Those of this process."""
    return Surroundings(env=dict(os.environ), home=os.path.expanduser("~"), uid=os.geteuid(), cwd=os.getcwd())


def find_config(named: str | None, around: Surroundings) -> str:
    """The absolute path of `-c`, else $RINGVISOR_CONFIG, else the first of the usual places. Raises ConfigErrors."""
    named = named or around.env.get("RINGVISOR_CONFIG")
    if named:
        return os.path.normpath(os.path.join(around.cwd, named))
    candidates = config_candidates(around)
    found = next((path for path in candidates if os.path.exists(path)), None)
    if found is None:
        tried = ", ".join(candidates)
        message = f"no fleet file: looked for {tried}; name one with -c FILE, or write one with ringvisord init"
        raise ConfigErrors([Problem("ringvisor.toml", 0, "", message)])
    return found


def load(
    named: str | None = None,
    *,
    around: Surroundings | None = None,
    scale: Mapping[str, int] | None = None,
    also: Sequence[str] = (),
) -> Loaded:
    """Reads a fleet, or raises ConfigErrors with all that is wrong.

    `scale` overrules `instances` of the tables it names; `also` are files to include besides those the file names.
    """
    around = around or surroundings()
    report = Report()
    reader = _Reader(around, report)
    roots = list(reader.read_fleet(find_config(named, around), also))
    fleet = parse(roots, around, scale or {}, report) if roots else None
    verify(report.claims, report)
    if report.errors or fleet is None:
        raise ConfigErrors(report.errors)
    return Loaded(fleet, report.warnings, tuple(root.place.source.path for root in roots))


def load_settings(named: str | None = None, *, around: Surroundings | None = None) -> FleetSettings:
    """Only [fleet] of the main file, quickly: what a client needs to find its ringvisord. Raises ConfigErrors."""
    around = around or surroundings()
    report = Report()
    path = find_config(named, around)
    root = _Reader(around, report).read_fleet_table(path)
    if root is not None:
        fleet = root.table.get("fleet", Node({}, root.place))
        settings = read_settings(fleet, Scope({}, around.env, around.home, report), around)
        if not report.errors:
            return settings
    raise ConfigErrors(report.errors)


class _Reader:
    def __init__(self, around: Surroundings, report: Report) -> None:
        self._around = around
        self._report = report
        self._read: set[str] = set()

    def read_fleet(self, path: str, also: Sequence[str]) -> Iterator[Node]:
        yield from self._read_with_includes(path, [])
        for extra in also:
            yield from self._read_with_includes(os.path.normpath(os.path.join(self._around.cwd, extra)), [])

    def read_fleet_table(self, path: str) -> Node | None:
        """A root that has [fleet], whatever else the file holds."""
        return self._read_toml(path, fleet_excerpt)

    def _read_with_includes(self, path: str, chain: list[str]) -> Iterator[Node]:
        """The file, then what it includes; each file once. `chain`: the real paths of who included it."""
        real = os.path.realpath(path)
        self._read.add(real)
        root = self._read_toml(path)
        if root is None:
            return
        yield root
        if "include" not in root.table:
            return
        for node, pattern in self._patterns(root.table["include"]):
            for included in self._matches(node, pattern):
                if os.path.realpath(included) in [*chain, real]:
                    self._report.error(node.place, f"includes in a circle: {included} includes this file")
                elif os.path.realpath(included) not in self._read:
                    yield from self._read_with_includes(included, [*chain, real])

    def _patterns(self, include: Node) -> Iterator[tuple[Node, str]]:
        scope = Scope({}, self._around.env, self._around.home, self._report)
        items = include.value if isinstance(include.value, list) else [include]
        for item in items:
            text = TEXT.read(item, scope)
            if isinstance(text, str):
                yield item, text

    def _matches(self, node: Node, pattern: str) -> list[str]:
        """A pattern may match nothing; a file that is named must be there."""
        directory, home = glob.escape(node.place.source.directory), glob.escape(self._around.home)
        found = sorted(glob.glob(absolute(pattern, directory, home)))
        if not found and glob.escape(pattern) == pattern:
            self._report.error(node.place, f'there is no file "{pattern}"')
        return found

    def _read_toml(self, path: str, part: Callable[[str], str] = str) -> Node | None:
        name = self._shown(path)
        try:
            source = Source(name, path, part(read_text(path)))
            return locate(tomllib.loads(source.text), source)
        except TextFileError as failure:
            self._report.file_error(Problem(name, failure.line, "", str(failure)))
        except TooDeepError as wrong:
            self._report.error(wrong.place, str(wrong))
        except (ValueError, RecursionError) as wrong:
            self._report.file_error(syntax_problem(name, source.text, wrong))
        return None

    def _shown(self, path: str) -> str:
        return path.removeprefix(self._around.cwd.rstrip("/") + "/")
