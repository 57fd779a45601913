"""The row groups in flight, by what their owner tells: from `row_group_admitted` to `row_group_checkpointed`."""

from __future__ import annotations

__all__ = ["RowGroups"]


class RowGroups:
    """The names of the row groups in flight. `most` is how many there have been; `None` while nobody told of any."""

    def __init__(self) -> None:
        self._in_flight: set[str] = set()
        self.most: int | None = None

    def note(self, kind: str, name: str) -> None:
        """An event of this kind told of the row group of this name."""
        if kind == "row_group_admitted":
            self._in_flight.add(name)
            self.most = max(self.most or 0, len(self._in_flight))
        elif kind == "row_group_checkpointed":
            self._in_flight.discard(name)
