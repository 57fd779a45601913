"""What a class says to mypyc, which compiles some modules for platform wheels: see `docs/design/compiled.md`.

Where nothing is compiled it says nothing: so `mypy_extensions` is needed by nobody who does not compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

__all__ = ["mypyc_attr"]

T = TypeVar("T")

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_: bool) -> Callable[[T], T]:
        """A decorator that gives back the class as it is; its keywords are mypyc's."""
        return lambda kind: kind
