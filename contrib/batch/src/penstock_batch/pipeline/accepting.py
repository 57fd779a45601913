"""The functions by which a step judges its answers: `accept = "module:function"`.

Such a function is given the value, and by the names of its other parameters what the row has: columns, steps done
before, and the whole row as `row`. It says whether the value is accepted, or what is wrong with it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from penstock_batch.pipeline.functions import FunctionProblem, load_function
from penstock_batch.rows.lines import copied
from penstock_batch.words.failures import bounded, said_of

__all__ = ["Accept", "Objection", "load_accept"]

_SLOW: Final = 0.02


@attrs.frozen
class Objection:
    """What an accepting function has against a value. `final`: another answer would not help, since the function
    itself went wrong.
    """

    reason: str
    final: bool = False


@attrs.define
class Accept:
    """A function that judges values. `wanted` are the names that it must be given, `optional` those that it takes if
    the row has them. `slow` tells whether it ever took more than a fiftieth of a second.
    """

    function: Callable[..., Any]
    wanted: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    slow: bool = False

    def objection(self, value: Any, values: Mapping[str, Any]) -> Objection | None:
        """What the function says of a value in a row with these `values`; `None` if it accepts it."""
        missing = [name for name in self.wanted if name not in values]
        if missing:
            return Objection(f"the row has no column {missing[0]!r}, which accept takes", final=True)
        given = {name: copied(values[name]) for name in (*self.wanted, *self.optional) if name in values}
        began = time.monotonic()
        try:
            said = self.function(copied(value), **given)
            if said is None or said is True:
                return None
            if said is False:
                return Objection("it was not accepted")
            if isinstance(said, str):
                return Objection(bounded(said)) if said.strip() else None
            what = f"accept must return True, False, None or a text, not {type(said).__name__}"
            return Objection(what, final=True)
        except (ValueError, AssertionError) as error:  # what a check raises that does its work
            return Objection(said_of(error))
        except BaseException as error:  # whatever it is, it was raised by the user's code, for this row
            return Objection(f"accept failed: {said_of(error)}", final=True)
        finally:
            self.slow = self.slow or time.monotonic() - began > _SLOW


def load_accept(name: str, folder: Path) -> Accept:
    """The function that a step names, in `folder` or installed. Raises `FunctionProblem`."""
    function = load_function(name, None, folder)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise FunctionProblem(f"{name} must be a plain function, which returns what is wrong with a value")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-ins have no signature
        return Accept(function)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
        raise FunctionProblem(f"{name} must take the value as its first argument")
    rest = [each for each in parameters[1:] if each.kind is not inspect.Parameter.VAR_POSITIONAL]
    unnamed = [each.name for each in rest if each.kind is inspect.Parameter.POSITIONAL_ONLY]
    if unnamed:
        raise FunctionProblem(f"{name} takes {unnamed[0]!r} by position only; columns are given by name")
    named = [each for each in rest if each.kind is not inspect.Parameter.VAR_KEYWORD]
    return Accept(
        function,
        tuple(each.name for each in named if each.default is inspect.Parameter.empty),
        tuple(each.name for each in named if each.default is not inspect.Parameter.empty),
    )
