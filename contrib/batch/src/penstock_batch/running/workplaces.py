"""Where a run over a store works, and what one before has left there that was killed."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from secrets import token_hex
from typing import Final

from penstock import ConfigError
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.rows.working_files import Workplace, clear
from penstock_batch.store.store import Store, StoreLost

__all__ = ["clear_before_anew", "workplace_of"]

_FACT: Final = "mark of working files"


def workplace_of(pipeline: Pipeline, store: Store) -> Workplace:
    """The workplace of the run that holds this store, in which nothing is left of runs before."""
    token = store.fact(_FACT)
    if token is None:
        token = token_hex(8)
        store.note(_FACT, token)
        with suppress(StoreLost):  # which ends the run where it has answers, and not before it begins
            store.commit()
    found = store.path.stat()  # a copy of the store is another one, and may be in use beside it
    mark = blake2b(f"{token} {found.st_dev} {found.st_ino}".encode(), digest_size=8).hexdigest()
    clear(mark, (store.path.parent, pipeline.target.path.parent, pipeline.failed.parent))
    return Workplace(store.path.parent, mark)


def clear_before_anew(pipeline: Pipeline) -> None:
    """Take away what runs over a store have left that is to be begun anew. One that cannot be used says nothing."""
    if pipeline.store.is_file() and not pipeline.store.is_symlink():
        with suppress(ConfigError, StoreLost), Store(pipeline.store) as store:
            workplace_of(pipeline, store)
