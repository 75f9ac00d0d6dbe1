"""What is replaced in a text, and nothing else is.

    {name} {n} {group} {fleet} {here}    what the session is called and where the file lies
    ${IDENT}  ${IDENT:-default}          ringvisor's own environment; the default also stands in for an empty value,
                                         as in a shell, and may itself hold what is replaced
    {{name}}  $${IDENT}                  the same texts, literally: {name} and ${IDENT}

Every other `{`, `}` and `$` is literal, so that JSON, awk and regular expressions need no escapes. One pass from left
to right: what a replacement brings in is not looked at again (a value of the environment cannot inject a name).
"""

import re
from collections.abc import Mapping

_NAMES = "name|n|group|fleet|here"
# One level of braces may stand inside a default: ${DIR:-/srv/{name}}, ${A:-${B}}.
_DEFAULT = r":-(?:[^{}]|\{[^{}]*\})*"
_IDENT = "[A-Za-z_][A-Za-z0-9_]*"
_BRACES = rf"\{{\{{(?P<literal_name>{_NAMES})\}}\}}|\{{(?P<name>{_NAMES})\}}"
_DOLLARS = rf"\$(?P<literal>\$\{{{_IDENT}(?:{_DEFAULT})?\}})|\$\{{(?P<ident>{_IDENT})(?P<default>{_DEFAULT})?\}}"
_OUTSIDE_DOLLARS = re.compile(rf"(?<!\$)(?:{_BRACES})")
_REPLACED = re.compile(rf"\$\{{(?P<ident>{_IDENT})(?:{_DEFAULT})?\}}|\{{(?:{_NAMES})\}}")
_NAME_OUTSIDE_DOLLARS = re.compile(rf"(?<!\$)\{{(?:{_NAMES})\}}")
_BOTH = re.compile(f"{_BRACES}|{_DOLLARS}")


def expand(text: str, names: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Raises ValueError for a name without meaning in this place, or a variable that is not set."""

    def replacement(match: re.Match[str]) -> str:
        found = match.groupdict()
        if found["literal"] is not None:
            return str(found["literal"])
        if found["ident"] is not None:
            return _variable(found["ident"], found["default"], names, env)
        return _name(match, names)

    return _BOTH.sub(replacement, text) if "{" in text else text


def escaped(text: str) -> str:
    """What `expand` turns into this very text."""
    return _REPLACED.sub(lambda match: f"${match[0]}" if match["ident"] else f"{{{match[0]}}}", text)


def escaped_names(text: str) -> str:
    """What `expand_names` turns into this very text."""
    return _NAME_OUTSIDE_DOLLARS.sub(lambda match: f"{{{match[0]}}}", text)


def expand_names(text: str, names: Mapping[str, str]) -> str:
    """For commands: `${…}` is the program's own business there, so only {name} and its like are replaced."""
    return _OUTSIDE_DOLLARS.sub(lambda match: _name(match, names), text) if "{" in text else text


def _name(match: re.Match[str], names: Mapping[str, str]) -> str:
    if match["literal_name"] is not None:
        return "{" + match["literal_name"] + "}"
    name = match["name"]
    if name not in names:
        raise ValueError(f"{{{name}}} has no meaning here; write {{{{{name}}}}} for these characters themselves")
    return names[name]


def _variable(ident: str, default: str | None, names: Mapping[str, str], env: Mapping[str, str]) -> str:
    if default is None and ident not in env:
        raise ValueError(f"${{{ident}}} is not set in the environment; a default is written ${{{ident}:-…}}")
    return env.get(ident) or expand((default or "").removeprefix(":-"), names, env)
