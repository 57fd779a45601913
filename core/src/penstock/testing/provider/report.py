"""The report of a simulated provider: what it saw, which a client cannot know."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

__all__ = ["KeyReport", "ModelReport"]


@frozen
class KeyReport:
    """The calls of one key. `granted` took a slot and were to be answered, `hung` took one and were not;
    `abandoned` were given up by the client, in the queue or after. `tokens` are those charged."""

    arrived: int = 0
    granted: int = 0
    completed: int = 0
    refused: int = 0
    errors: int = 0
    hung: int = 0
    abandoned: int = 0
    tokens: int = 0


@frozen
class ModelReport:
    """The calls of all keys, as in `KeyReport`, and what belongs to the endpoint as a whole.

    - `refused_by`: 429s by the limit that spoke: `slots`, `requests`, `tokens`, `outage`, `quota`, `size`.
    - `in_flight`, `waiting`: now; `peak_concurrency`, `peak_waiting`: the highest.
    - `first_arrival_at`, `last_answer_at`: seconds after the endpoint's start; `None` if there was none.
    - `allowed_calls`: what the true limits allow between those two (`allowance`), to hold
      `completed` against; `None` if nothing limits the calls, or nothing was answered yet.
    """

    total: KeyReport
    by_key: Mapping[str, KeyReport]
    refused_by: Mapping[str, int]
    in_flight: int
    waiting: int
    peak_concurrency: int
    peak_waiting: int
    first_arrival_at: float | None
    last_answer_at: float | None
    allowed_calls: float | None
