"""Which sessions a session table makes, and what they are called.

[session.web]                      web
instances = 3                      web-0 web-1 web-2
hosts = ["a", "b"]                 web@a web@b
instances = 2, hosts = ["a", "b"]  web-0@a web-1@a web-0@b web-1@b
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct


class Instance(Struct, frozen=True):
    name: str
    number: int = 0
    host: str = ""


def instances_of(table: str, instances: int | None, hosts: Sequence[str]) -> Iterator[Instance]:
    numbered = [(table, 0)] if instances is None else [(f"{table}-{n}", n) for n in range(instances)]
    for host in hosts or [""]:
        for name, number in numbered:
            yield Instance(f"{name}@{host}" if host else name, number, host)
