"""Circles in what refers to what: templates, dependencies, jump hosts."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter


def cycles(edges: Mapping[str, AbstractSet[str]]) -> Iterator[list[str]]:
    """Each circle as the names on it, the first one repeated at the end, in the direction of the edges.

    Once a circle is found, it is opened at one edge and the search goes on: several mistakes are several messages.
    """
    graph = {name: set(targets) for name, targets in edges.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as found:
            # graphlib lists each node before the one that needs it.
            circle: list[str] = found.args[1][::-1]
            graph[circle[0]].discard(circle[1])
            yield circle
        else:
            return
