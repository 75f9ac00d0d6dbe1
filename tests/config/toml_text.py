"""Random TOML texts, and where in them each key was written."""

import json
from typing import Any

from hypothesis import strategies as st

from config.toml_lines import KeyPath

BARE = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=4)
ODD = st.text(alphabet="ab .#=[]{}\"'\\é\n,", max_size=4)
KEYS = st.lists(BARE | ODD, min_size=1, max_size=4, unique=True)
SCALARS = st.sampled_from(
    [
        "1",
        "-0.5e3",
        "true",
        "1979-05-27T07:32:00Z",
        '"#]}=,"',
        "'[x] # \"'",
        '"""\nk = 1\n[h]\n"""',
        '"""q\\""""',
        '"""""two"""',
        "'''\n'a''\n]\n'''",
        '"\\u00e9\\\\"',
        "inf",
    ]
)


class Writer:
    """Writes tables as text, and notes the line of each key."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def put(self, text: str) -> None:
        self.text += text

    def blank(self) -> str:
        return str(self.draw(st.sampled_from(["", " ", "\t"])))

    def lines_between(self) -> str:
        return str(self.draw(st.sampled_from(["", "\n", " # c ] = [x]\n", "\n\n"])))

    def key(self, path: KeyPath) -> None:
        self.lines[path] = self.text.count("\n") + 1
        name = str(path[-1])
        is_bare = name != "" and all(letter in "abcXYZ019_-" for letter in name)
        self.put(name if is_bare and self.draw(st.booleans()) else json.dumps(name))

    def value(self, path: KeyPath, depth: int) -> None:
        match self.draw(st.integers(0, 4 if depth else 2)):
            case 3:
                self.array(path, depth - 1)
            case 4:
                self.inline(path, depth - 1)
            case _:
                self.put(self.draw(SCALARS))

    def array(self, path: KeyPath, depth: int) -> None:
        self.put("[")
        for i in range(self.draw(st.integers(0, 3))):
            self.put(self.lines_between() + self.blank())
            self.lines[*path, i] = self.text.count("\n") + 1
            self.value((*path, i), depth)
            self.put(self.lines_between() + ",")
        self.put(self.lines_between() + "]")

    def inline(self, path: KeyPath, depth: int) -> None:
        self.put("{")
        for i, name in enumerate(self.draw(KEYS)):
            self.put("," * (i > 0) + self.blank())
            self.assignment((*path, name), depth)
        self.put(self.blank() + "}")

    def assignment(self, path: KeyPath, depth: int) -> None:
        self.key(path)
        self.put(f"{self.blank()}={self.blank()}")
        self.value(path, depth)

    def body(self, path: KeyPath) -> None:
        for name in self.draw(KEYS):
            self.put(self.lines_between().replace(" #", "#") + self.blank())
            if self.draw(st.booleans()):
                self.assignment((*path, name), 2)
            else:
                self.key((*path, name))
                self.put(f"{self.blank()}.{self.blank()}")
                self.assignment((*path, name, "dotted"), 1)
            self.put(self.draw(st.sampled_from(["\n", " # c\n"])))

    def header(self, path: tuple[str, ...], brackets: str, concrete: KeyPath) -> None:
        self.lines[concrete] = self.text.count("\n") + 1
        opening, closing = brackets.split()
        self.put(opening + ".".join(json.dumps(part) for part in path) + closing + "\n")


@st.composite
def documents(draw: Any) -> tuple[str, dict[KeyPath, int]]:
    writer = Writer(draw)
    writer.body(())
    for name in draw(KEYS):
        table = f"table {name}"
        if draw(st.booleans()):
            writer.header((table,), "[ ]", (table,))
            writer.body((table,))
            writer.header((table, "below", "deep"), "[ ]", (table, "below", "deep"))
            writer.body((table, "below", "deep"))
            continue
        for i in range(draw(st.integers(1, 3))):
            writer.header((table,), "[[ ]]", (table, i))
            writer.body((table, i))
            writer.header((table, "in array"), "[ ]", (table, i, "in array"))
            writer.body((table, i, "in array"))
    return writer.text, writer.lines
