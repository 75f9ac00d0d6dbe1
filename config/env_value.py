"""The value of an environment variable: a text, or a file that is read at each start and never kept."""

from msgspec import Struct

from config.kinds import INVALID, TEXT, Claimed, Path, Schema, Scope
from config.located import Node
from config.report import ClaimKind

_SECRET_PATH = Claimed(Path(), ClaimKind.SECRET_FILE)


class SecretFile(Struct, frozen=True, tag=True):
    path: str


class EnvValue(Struct, frozen=True, eq=False):
    def read(self, node: Node, scope: Scope) -> object:
        match node.value:
            case bool():
                pass  # a number to Python; and whether the program expects true, True, yes or 1, only the user knows
            case int(number):
                return str(number)
            case dict(table) if table.keys() == {"file"}:
                path = _SECRET_PATH.read(table["file"], scope)
                return SecretFile(path) if isinstance(path, str) else INVALID
            case dict():
                return scope.wrong(node, 'is neither a text nor { file = "PATH" }')
        return TEXT.read(node, scope)

    def schema(self) -> Schema:
        secret = {
            "type": "object",
            "properties": {"file": _SECRET_PATH.schema()},
            "required": ["file"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": ["string", "integer"]}, secret]}
