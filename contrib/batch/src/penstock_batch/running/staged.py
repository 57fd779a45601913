"""The stages of a run, one after another: the next begins when every row of the one before is done, failed or gone.

Rows that have failed are not among those of the next stage. A gather goes over what is done and says without how many,
or with `failed = "stop"` is not begun.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

import trio

from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.working_files import Workplace
from penstock_batch.running.deriving import DerivedRows, StageRows
from penstock_batch.running.results import NoRoom, Results
from penstock_batch.words.amounts import counted

__all__ = ["StagedRows"]


class StagedRows:
    """The stages that a run has come to, over the first `limit` rows of the input; what it keeps of rows lies at
    `place`. Use as a context manager. `on_over` is called after each row of the last stage that is over, and when the
    next stage is there.
    """

    def __init__(
        self, pipeline: Pipeline, limit: int | None, place: Workplace, on_over: Callable[[], object] | None = None
    ) -> None:
        self._pipeline = pipeline
        self._place = place
        self._on_over = on_over
        self._held = ExitStack()
        self.reached: list[StageRows] = []
        self.told: list[str] = []
        """What each step that changes rows has made of how many."""
        self.refused: str | None = None
        """Why a gather was not begun."""
        self.failed = 0
        """Rows that have failed in the stages before the last one that is reached."""
        self.failures: Mapping[tuple[str, str], int] = {}
        """The rows of which the last change could not be made, by step and reason."""
        self.made: DerivedRows | None = None
        """What was made of the rows of the stage before the last one that is reached."""
        self.reached.append(StageRows(pipeline.of_stage(pipeline.stages[0]), self._results(), limit))

    @property
    def mark(self) -> str:
        """What the names of its files have in them."""
        return self._place.mark

    @property
    def last(self) -> StageRows:
        """The stage that the run is at."""
        return self.reached[-1]

    @property
    def complete(self) -> bool:
        """Whether the run has come to its last stage."""
        return len(self.reached) == len(self._pipeline.stages)

    @property
    def change(self) -> Step | None:
        """The step that makes the rows of the next stage; `None` in the last one."""
        return self._pipeline.stages[len(self.reached) - 1].change

    async def advance(self) -> StageRows | None:
        """The next stage, with its rows; `None` behind the last one, or where a gather refuses. Raises `NoRoom` and
        `InputProblem`.
        """
        derived = self._begin()
        if derived is None:
            return None
        try:
            await trio.to_thread.run_sync(derived.make, abandon_on_cancel=True)
        except (OSError, sqlite3.Error) as error:
            raise NoRoom(self._place.folder, error) from None
        except BaseException:
            derived.give_up()
            raise
        return self._end(derived)

    def _begin(self) -> DerivedRows | None:
        change = self.change
        if change is None:
            return None
        try:
            derived = DerivedRows(change, self.last, self._place, self.failed)
        except (OSError, sqlite3.Error) as error:
            raise NoRoom(self._place.folder, error) from None
        self._held.callback(derived.close)
        return derived

    def _end(self, derived: DerivedRows) -> StageRows | None:
        change = self.change
        assert change is not None
        self.failed, self.failures = derived.failed_before, derived.failures
        if change.kind == "gather" and change.failed == "stop" and self.failed:
            rows = counted(self.failed, "row")
            self.refused = f'{change.name}: not gathered, since {rows} failed before; mend them, or say failed = "skip"'
            return None
        self.made = derived
        self.told.append(derived.told)
        self.reached.append(derived.stage(self._pipeline.stages[len(self.reached)], self._results()))
        if self._on_over is not None:
            self._on_over()
        return self.last

    def _results(self) -> Results:
        at_the_end = len(self.reached) == len(self._pipeline.stages) - 1
        return self._held.enter_context(Results(self._place.folder, self._on_over if at_the_end else None))

    def close(self) -> None:
        """Take away what is kept of the rows."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
