"""A store that is to be begun anew: the last one is kept beside it until a run over all rows has ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from penstock import ConfigError
from penstock_batch.store.opening import StoreFile, check_ours, unusable
from penstock_batch.store.store import Store
from penstock_batch.words.terminal import say

__all__ = ["forget_aside", "note_aside", "put_aside"]

_ALONG: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database; what it holds belongs to it."""
_FACT: Final = "the last store is aside"


def put_aside(store: Path) -> bool:
    """Put the store at this path aside; whether there is one. Says what it is that is begun anew.

    If one was put aside before, by a run that has not ended, that one stays and this one goes. Raises `ConfigError` if
    it is in use or no store, or cannot be moved.
    """
    if not store.exists():
        return False
    StoreFile(store).close()
    check_ours(store)
    size = f"{store.stat().st_size / 1e6:,.1f} MB"
    aside = _aside(store)
    try:
        if aside.is_symlink() or (aside.exists() and not aside.is_file()):
            raise unusable(aside, "is in the way of the last store, which --overwrite puts there")
        if aside.exists():
            StoreFile(aside).close()
            _remove(store)
            say(f"begun anew once more: {size} of answers are thrown away; {aside.name} is kept until a run has ended")
            return True
        for end in ("", *_ALONG):
            along = _along(store, end)
            if along.exists():
                along.replace(_along(aside, end))
    except OSError as error:
        raise unusable(store, f"cannot be put aside: {error.strerror or error}") from None
    say(f"begun anew: what was answered before ({size}) is kept as {aside.name} until a run over all rows has ended")
    return True


def note_aside(store: Store) -> None:
    """Remember in a new store that the last one is aside."""
    store.note(_FACT, "yes")
    store.commit()


def forget_aside(store: Store) -> None:
    """Remove the store that was put aside for this one, if there is one: a run over all rows has ended."""
    if store.fact(_FACT) is not None:
        with suppress(OSError, ConfigError):
            StoreFile(_aside(store.path)).close()
            _remove(_aside(store.path))
        store.forget(_FACT)
        store.commit()


def _aside(store: Path) -> Path:
    return store.with_name(f"{store.name}.before")


def _along(store: Path, end: str) -> Path:
    return store.with_name(f"{store.name}{end}")


def _remove(store: Path) -> None:
    for end in ("", *_ALONG):
        _along(store, end).unlink(missing_ok=True)
