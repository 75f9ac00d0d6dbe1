"""What can be wrong with a fleet file, as values.

A user who mends one error only to be shown the next one loses patience with the tool, so a load never stops
at the first: everything that is wrong is collected and raised once, as `ConfigErrors`. Each `Problem` says
where (file, line, key path), what, and, where one can guess, what was meant.
"""

from collections.abc import Iterable

from msgspec import Struct


class Problem(Struct, frozen=True):
    file: str
    line: int  # 1-based; 0: the file as a whole (it is missing, unreadable)
    key: str  # "session.web.health[0].url"; empty: no key is to blame
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        hint = f'; did you mean "{self.suggestion}"?' if self.suggestion else ""
        return f"{where}: {key}{self.message}{hint}"


class ConfigErrors(Exception):  # noqa: N818 - it carries all of them, and the plural says so
    """Everything that is wrong, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
