import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.expand import escaped, escaped_names, expand, expand_names

NAMES = {"name": "web-1", "n": "1", "group": "web", "fleet": "agents", "here": "/etc"}
ENV = {"A": "alpha", "EMPTY": "", "INJECTED": "{name} ${A}", "name": "variable"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name} {n} {group} {fleet} {here}", "web-1 1 web agents /etc"),
        ("${A}/${name}", "alpha/variable"),
        ("${B:-none} ${EMPTY:-none} ${A:-none} ${B:-}", "none none alpha "),
        ("${B:-/srv/{name}} ${B:-${A}}", "/srv/web-1 alpha"),
        ("{{name}} $${A} $${B:-x}", "{name} ${A} ${B:-x}"),
        ("${INJECTED}", "{name} ${A}"),
        ("{x} {} { name } {name {Name} ${1} ${} $ $$ $A {{ }} {{x}} %s", None),
        ('awk \'{print $1}\' {"a": {"b": 1}} ${a.b} a{1,2}$', None),
        ("$$${A} {{{name}}}", "$${A} {{name}}"),
    ],
)
def test_expand(text: str, expected: str | None) -> None:
    """Exactly the promised forms are replaced; None: nothing is."""
    assert expand(text, NAMES, ENV) == (text if expected is None else expected)


def test_undefined_variable() -> None:
    """A variable that is not set and has no default is an error that says how to give one."""
    with pytest.raises(ValueError, match=r"\$\{B\} is not set in the environment; a default is written \$\{B:-…\}"):
        expand("x ${B}", NAMES, ENV)


def test_name_without_meaning() -> None:
    """A name that means nothing here is an error that says how to write it literally."""
    with pytest.raises(ValueError, match=r"\{n\} has no meaning here; write \{\{n\}\}"):
        expand("{n}", {"fleet": "agents"}, ENV)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name}:{n}", "web-1:1"),
        ("echo ${name} ${A} ${B:-x} $${A} $$", "echo ${name} ${A} ${B:-x} $${A} $$"),
        ("{{name}} {x}", "{name} {x}"),
    ],
)
def test_commands_keep_their_dollars(text: str, expected: str) -> None:
    """In a command, ${…} is the program's own business, also where it looks like one of our names."""
    assert expand_names(text, NAMES) == expected


@given(st.text(alphabet="{}$:-nameA ", max_size=40))
def test_what_holds_no_form_of_ours_stays(text: str) -> None:
    """Text is replaced or refused, and an expansion without braces around an identifier changes nothing."""
    try:
        expanded = expand(text, NAMES, ENV)
    except ValueError:
        return
    if "{n}" not in text and "{name}" not in text and "${" not in text:
        assert expanded == text


@given(st.text(), st.text())
def test_values_are_not_looked_at_again(value: str, around: str) -> None:
    """A variable's value arrives as it is, whatever it looks like."""
    literal = around.replace("{", "").replace("$", "").replace("}", "")
    if value:
        assert expand(literal + "${V}", {}, {"V": value}) == literal + value


_FORMS = st.sampled_from(["{", "}", "$", "{name}", "{{n}}", "${A}", "$${A}", ":-", "A", "name", "${B:-{name}}", "x"])


@given(st.lists(_FORMS, max_size=8).map("".join))
def test_what_is_escaped_comes_out_as_it_was(text: str) -> None:
    assert expand(escaped(text), NAMES, ENV) == text
    assert expand_names(escaped_names(text), NAMES) == text
