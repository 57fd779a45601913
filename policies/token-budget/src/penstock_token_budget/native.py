"""What a class says to mypyc, which compiles some modules for platform wheels; where nothing is compiled, nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["mypyc_attr"]

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_: bool) -> Any:
        """A decorator that gives back the class as it is."""
        return lambda kind: kind
