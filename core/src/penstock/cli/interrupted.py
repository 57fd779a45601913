"""What a Ctrl+C says while `python -m penstock` is still importing the package, of which nothing else is there yet."""

from __future__ import annotations

import sys
from types import TracebackType

__all__: list[str] = []

_usual = sys.excepthook


def _in_a_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        _usual(kind, error, trace)


if sys.argv[:1] == ["-m"] and "penstock" in sys.orig_argv:  # as long as Python looks for the module that it runs
    sys.excepthook = _in_a_line
