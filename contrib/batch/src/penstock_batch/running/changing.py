"""What a split and a filter say of one row: its items, or whether it stays. Pure but for the functions of users.

Whatever such a function does costs the row that it was called for, as `RowFailed`, and no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.rows.lines import copied, kept
from penstock_batch.words.failures import said_of

__all__ = ["MOST_ITEMS", "RowFailed", "items_of", "passes"]

MOST_ITEMS: Final = 1_000_000
"""Rows that one row may be split into: a function that never ends costs its row and not the disk."""


class RowFailed(Exception):
    """The failure of a row, in one line."""


def items_of(step: Step, values: Mapping[str, Any]) -> Iterator[Any]:
    """The items that a split makes rows of, one after another. Raises `RowFailed`, maybe after some."""
    if step.over is not None:
        if step.over not in values:
            raise RowFailed(f"the row has no column {step.over!r}")
        items = values[step.over]
        if not isinstance(items, list):
            raise RowFailed(f"{step.over!r} must be a list to be split, not {_kind(items)}")
        yield from items
        return
    made = _made_by_users(lambda: _iterator(_called(step, values)))
    for number in range(1, MOST_ITEMS + 1):
        item = _made_by_users(partial(next, made, _END))
        if item is _END:
            return
        yield _made_by_users(partial(kept, item), f"item {number} is what JSON cannot hold: ")
    raise RowFailed(f"its function gives more than {MOST_ITEMS:,} items for one row")


def passes(step: Step, values: Mapping[str, Any], columns: Mapping[str, Any]) -> bool:
    """Whether a row stays. Raises `RowFailed`."""
    if step.when is None:
        stays: bool = _made_by_users(lambda: _verdict(_called(step, values)))
        return stays
    try:
        return step.wanted({**values, ROW: columns})
    except RenderError as error:
        raise RowFailed(f"it cannot be said whether it stays: {error}") from None


_END: Final = object()


def _made_by_users(make: Callable[[], Any], before: str = "") -> Any:
    """What code of the user's makes; whatever it raises is the row's failure. Raises `RowFailed`.

    It runs in a thread, where no signal arrives: a KeyboardInterrupt too was raised by that code.
    """
    try:
        return make()
    except RowFailed:
        raise
    except BaseException as error:
        raise RowFailed(f"{before}{said_of(error)}") from None


def _called(step: Step, values: Mapping[str, Any]) -> Any:
    assert step.function is not None
    missing = [name for name in step.arguments if name not in values]
    if missing:
        raise RowFailed(f"the row has no column {missing[0]!r}")
    made = step.function(**{name: copied(values[name]) for name in step.arguments})
    if inspect.iscoroutine(made):
        made.close()
    if inspect.isawaitable(made):
        raise RowFailed("its function must be a plain one, not an async one")
    return made


def _iterator(made: Any) -> Iterator[Any]:
    ordered = not isinstance(made, str | bytes | bytearray | Mapping | set | frozenset)
    if not ordered or not (hasattr(made, "__iter__") or hasattr(made, "__getitem__")):
        raise RowFailed(f"its function must return a list or an iterator, not {_kind(made)}")
    return iter(made)


def _verdict(said: Any) -> bool:
    if isinstance(said, bool):
        return said
    if type(said).__name__ == "bool" or type(said).__name__ == "bool_":  # numpy's
        return bool(said)
    raise RowFailed(f"its function must return True or False, not {_kind(said)}")


_KINDS: Final = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
    list: "a list",
    dict: "an object",
}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")
