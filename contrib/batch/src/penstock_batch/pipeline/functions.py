"""The functions of Python steps, found by the names in a pipeline.

`module:function` is imported with the folder of the pipeline's TOML at the front of the import path, as Python does
with the folder of a script; so a module beside the TOML is found, and so is everything installed. A name without a
colon is an entry point of the group `penstock.steps`. The function is called with what `needs` lists, by name, and
whether it can be is checked before anything runs.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

__all__ = ["GROUP", "FunctionProblem", "load_function", "target_of"]

GROUP: Final = "penstock.steps"


class FunctionProblem(ValueError):
    """A Python step whose function cannot be used, in one line."""


def load_function(name: str, needs: Sequence[str] | None, folder: Path) -> Callable[..., Any]:
    """The function of a step that lies in `folder`, which can be called with `needs`, unless those are `None`. Raises
    `FunctionProblem`, also for whatever its module does when imported.
    """
    target = target_of(name)
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise FunctionProblem(f"{name!r} must be written module:function")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    found: Any = _import(module_name, folder)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise FunctionProblem(f"module {module_name!r} has no {attribute!r}") from None
    if not callable(found):
        raise FunctionProblem(f"{target!r} is no function")
    function: Callable[..., Any] = found
    if needs is not None:
        _check_arguments(function, target, needs)
    return function


def target_of(name: str) -> str:
    """The function of a step as `module:function`, also where an entry point is named. Raises `FunctionProblem`."""
    return name if ":" in name else _entry_point(name)


def _entry_point(name: str) -> str:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group=GROUP).names)) or "none"
        raise FunctionProblem(
            f"{name!r} is neither module:function nor an entry point of the group {GROUP} (installed: {known})"
        )
    if len({point.value for point in found}) > 1:
        places = ", ".join(sorted(point.value for point in found))
        raise FunctionProblem(
            f"several distributions bring an entry point {name!r}: {places}; write module:function instead"
        )
    return next(iter(found)).value


def _import(module_name: str, folder: Path) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise FunctionProblem(f"there is no module {module_name!r}, neither installed nor in {folder}") from None
        raise FunctionProblem(f"importing {module_name!r} failed: {error}") from None
    except (Exception, SystemExit) as error:  # a module of the user's may do anything
        raise FunctionProblem(f"importing {module_name!r} failed: {type(error).__name__}: {error}") from None


def _check_arguments(function: Callable[..., Any], target: str, needs: Sequence[str]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-ins have none
        return
    try:
        signature.bind(**dict.fromkeys(needs))
    except TypeError as error:
        raise FunctionProblem(f"{target} cannot be called with needs = {list(needs)}: {error}") from None
