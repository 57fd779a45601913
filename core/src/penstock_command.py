"""The command `penstock` from its first moment on: what a Ctrl+C says while all of it is still being imported.

It stands beside the package, since no module within it runs before the package is imported.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The entry point of `penstock`."""
    try:
        from penstock.cli.main import main as command  # the slow part, of which nothing is there yet
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
    command()
