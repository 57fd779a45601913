"""Cycles of dependencies, found before the tasks are added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

__all__ = ["find_cycle"]

Edges = Callable[[str], Iterable[str]]


def find_cycle(roots: Iterable[str], edges: Edges) -> list[str] | None:
    """A cycle that can be reached from `roots`, its first id again at the end; `None` if there is none.

    Depth first, without recursion. Costs as many steps as there are edges within reach.
    """
    done: set[str] = set()
    for root in roots:
        path: dict[str, Iterator[str]] = {} if root in done else {root: iter(edges(root))}
        while path:
            current = next(reversed(path))
            step = next((each for each in path[current] if each not in done), None)
            if step is None:
                done.add(current)
                del path[current]
            elif step in path:
                names = list(path)
                return [*names[names.index(step) :], step]
            else:
                path[step] = iter(edges(step))
    return None
