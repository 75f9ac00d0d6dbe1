import tomllib

from hypothesis import given
from hypothesis import strategies as st

from config.toml_lines import KeyPath, line_map
from tests.config.toml_text import documents


def every_path(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """All keys and elements that tomllib found."""
    match value:
        case dict():
            return {path} | {inner for key, item in value.items() for inner in every_path(item, (*path, key))}
        case list():
            return {path} | {inner for i, item in enumerate(value) for inner in every_path(item, (*path, i))}
    return {path}


EXAMPLE = """\
a = 1 # comment [not] = a header
"b c".'d' = "x"

[t]
multi = '''
[no.header]
k = 1
'''
list = [
  1,
  [ 2, "]" ], # ]
  { x = 1, y.z = 2 },
]
inline = { p = { q = 1 }, r = [1,2] }
[t.sub.deep]
k = true
[[arr]]
k = 1
[[arr]]
[arr.inner]
k = 2
[[arr.more]]
k = 3
[t.sub]
"esc\\u0041\\"]" = \"""a
"" \\\""" b\""\"""
last = 1979-05-27 07:32:00
"""


def test_lines_of_an_example() -> None:
    """Tables, arrays of tables, dotted keys, inline tables, elements, and strings over several lines."""
    assert line_map(EXAMPLE) == {
        ("a",): 1,
        ("b c",): 2,
        ("b c", "d"): 2,
        ("t",): 4,
        ("t", "multi"): 5,
        ("t", "list"): 9,
        ("t", "list", 0): 10,
        ("t", "list", 1): 11,
        ("t", "list", 1, 0): 11,
        ("t", "list", 1, 1): 11,
        ("t", "list", 2): 12,
        ("t", "list", 2, "x"): 12,
        ("t", "list", 2, "y"): 12,
        ("t", "list", 2, "y", "z"): 12,
        ("t", "inline"): 14,
        ("t", "inline", "p"): 14,
        ("t", "inline", "p", "q"): 14,
        ("t", "inline", "r"): 14,
        ("t", "inline", "r", 0): 14,
        ("t", "inline", "r", 1): 14,
        ("t", "sub"): 24,
        ("t", "sub", "deep"): 15,
        ("t", "sub", "deep", "k"): 16,
        ("arr",): 17,
        ("arr", 0): 17,
        ("arr", 0, "k"): 18,
        ("arr", 1): 19,
        ("arr", 1, "inner"): 20,
        ("arr", 1, "inner", "k"): 21,
        ("arr", 1, "more"): 22,
        ("arr", 1, "more", 0): 22,
        ("arr", 1, "more", 0, "k"): 23,
        ("t", "sub", 'escA"]'): 25,
        ("t", "sub", "last"): 27,
    }


def test_example_has_the_keys_of_tomllib() -> None:
    """Nothing is missed and nothing invented."""
    assert set(line_map(EXAMPLE)) | {()} == every_path(tomllib.loads(EXAMPLE))


@given(documents())
def test_any_document(document: tuple[str, dict[KeyPath, int]]) -> None:
    """The keys of any document are those that tomllib finds, each on the line where it was written."""
    text, written = document
    lines = line_map(text)
    assert set(lines) | {()} == every_path(tomllib.loads(text))
    assert {path: lines[path] for path in written} == written


@given(st.integers(1, 400))
def test_deep_nesting(depth: int) -> None:
    """What tomllib can read, the scanner can walk."""
    text = "a = " + "[" * depth + "{ b = 1 }" + "]" * depth
    try:
        value = tomllib.loads(text)
    except RecursionError:
        return
    assert len(line_map(text)) + 1 == len(every_path(value))


def test_line_ends_of_another_system() -> None:
    """Carriage returns are no lines of their own."""
    assert line_map("a = 1\r\n[b]\r\nc = [\r\n 1,\r\n]\r\n") == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 4,
    }
