"""A store that is to be begun anew: the last one is kept beside it until the new run has ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from penstock import ConfigError, Problem
from penstock_batch.words.terminal import say

__all__ = ["Aside", "put_aside"]

_ALONG: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database; what it holds belongs to it."""


@attrs.frozen
class Aside:
    """A store that was put aside, as `path`."""

    path: Path

    def forget(self) -> None:
        """Remove it: the new run has ended."""
        for path in (self.path, *(self.path.with_name(f"{self.path.name}{end}") for end in _ALONG)):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def put_aside(store: Path) -> Aside | None:
    """The store at this path, put aside; `None` if there is none. Says what it is that is begun anew. Raises
    `ConfigError` if it cannot be moved.
    """
    if not store.exists():
        return None
    size = store.stat().st_size
    aside = store.with_name(f"{store.name}.before")
    try:
        if aside.is_symlink() or aside.is_dir():
            raise ConfigError(Problem((), "is in the way of the last store, which --overwrite puts there", str(aside)))
        for end in _ALONG:
            along = store.with_name(f"{store.name}{end}")
            if along.exists():
                along.replace(aside.with_name(f"{aside.name}{end}"))
            else:
                aside.with_name(f"{aside.name}{end}").unlink(missing_ok=True)
        store.replace(aside)
    except OSError as error:
        raise ConfigError(Problem((), f"cannot be put aside: {error.strerror or error}", str(store))) from None
    say(f"begun anew: what was answered before ({size / 1e6:,.1f} MB) is kept as {aside.name} until this run has ended")
    return Aside(aside)
