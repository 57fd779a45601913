"""The tables that a pipeline's TOML has beside the core's own: `[input]`, `[output]`, `[batch]` and `[[steps]]`.

Records only; what they mean together is `loading.py`'s. Every duration is in seconds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from penstock import Ended
from penstock_batch.rows.formats import Format

__all__ = ["WORKERS", "BatchConfig", "InputConfig", "MessageConfig", "OutputConfig", "StepConfig"]

WORKERS: Final = 40
"""Threads of a Python step, where it does not say."""

SAMPLES: Final = 100
"""The most answers to one call that a cell may hold."""


BATCH_SIZE: Final = 2048
"""The most texts that OpenAI takes in one call."""

BATCH_TOKENS: Final = 100_000
"""The most tokens of one call by our own count, where a step does not say: a third of what OpenAI takes."""


def _from(least: float) -> Any:
    def check(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
        if value is not None and value < least:
            raise ValueError(f"must be at least {least:g}, not {value!r}")

    return check


def _up_to(most: float) -> Any:
    def check(_: object, __: attrs.Attribute[Any], value: float) -> None:
        if value > most:
            raise ValueError(f"must be at most {most:g}, not {value!r}")

    return check


def _texts(_: object, __: attrs.Attribute[Any], value: int) -> None:
    if value > BATCH_SIZE:
        raise ValueError(f"must be at most {BATCH_SIZE}, the most texts that a provider takes in one call, not {value}")


def _above_zero(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"must be above 0, not {value!r}")


def _budget(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise ValueError(f"must be an amount of money from 0 on, not {value!r}")


def _not_empty(_: object, __: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError("must not be empty")


@attrs.frozen(kw_only=True)
class InputConfig:
    """`[input]`. `path` is taken from the folder of the TOML, and `-` is standard input; `format` follows from its
    ending if left out, and `table` is that of a database. With `copy` the run reads a copy made when it begins; it does
    so anyway where the path is a pipe.
    """

    path: Path
    format: Format | None = None
    table: str | None = attrs.field(default=None, validator=_not_empty)
    copy: bool = False


@attrs.frozen(kw_only=True)
class OutputConfig:
    """`[output]`. `path` is taken from the folder of the TOML, and `-` is standard output. Its ending says what is
    written, or else `format`; `table` is that of a database. `store` keeps the answers; it and the failed rows lie
    beside the output, or where `store` says. `columns` chooses what is written, as a list of names, or as a table of
    new names to columns.
    """

    path: Path
    format: Format | None = None
    table: str | None = attrs.field(default=None, validator=_not_empty)
    store: Path | None = None
    columns: list[str] | dict[str, str] | None = None


@attrs.frozen(kw_only=True)
class BatchConfig:
    """`[batch]`: how much is in memory at once, and when a model is given up.

    - `row_group_size`: rows that are read and scheduled together. `None`: 100, or the largest `batch_size`.
    - `rows_in_flight`: rows in memory that can go on. A row that waits for a provider that is cooling down does
      not count. `None`: 1000, or as many as a step with `batch_size` needs (`running/text_room.py`).
    - `rows_waiting`: rows in memory that wait for such a provider, beyond those.
    - `request_timeout`: of one call, from going out to its last byte.
    - `files`: the folder below which the files lie that rows name, by `image(…)` and `file(…)`; that of the TOML if
      left out.
    - `fsync_pause`: how long answers are gathered before they are written to the disk together.
    - `budget`: what all runs of this output may cost together, in the money of the prices.
    - `give_up_failures`: failed calls in a row, without a success between, before a model may be given up.
    - `give_up_start`, `give_up_after`: how long such failures must have lasted as well: at a model that never
      answered, and at one that did.
    - `give_up_rate_limited`: how long a model may answer nothing but 429.
    """

    row_group_size: int | None = attrs.field(default=None, validator=_from(1))
    rows_in_flight: int | None = attrs.field(default=None, validator=_from(1))
    rows_waiting: int = attrs.field(default=4000, validator=_from(0))
    request_timeout: float = attrs.field(default=120.0, validator=_above_zero)
    fsync_pause: float = attrs.field(default=0.02, validator=_from(0))
    files: Path | None = None
    budget: float | None = attrs.field(default=None, validator=_budget)
    give_up_failures: int = attrs.field(default=20, validator=_from(1))
    give_up_start: float = attrs.field(default=10.0, validator=_from(0))
    give_up_after: float = attrs.field(default=120.0, validator=_from(0))
    give_up_rate_limited: float = attrs.field(default=3600.0, validator=_above_zero)


@attrs.frozen(kw_only=True)
class MessageConfig:
    """One of a step's `messages`: the `role` of who says it, and a template of what is said."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = attrs.field(validator=_not_empty)


@attrs.frozen(kw_only=True)
class StepConfig:
    """`[[steps]]`: one new column, or other rows.

    - `kind = "chat"`: `model`, `prompt`, optionally `system` (or from files, `prompt_file` and `system_file`), or all
      turns by `messages`; the value is the answer's text. With `tools`, a list or a file of one, it is an object of
      text and calls; `tool_choice` says whether one is to be called, or which.
    - `kind = "embedding"`: `model`, `input`; the value is the vector.
    - `kind = "python"`: `function`, `needs`; the value is what it returns. It runs in one of `workers` threads, or with
      `thread = false` in the event loop; after `timeout` seconds its row fails.

    - `kind = "split"`: `over`, a column with a list, or `function` and `needs`; a row for each item.
    - `kind = "filter"`: `when`, or `function` and `needs`; rows for which it says no leave.
    - `kind = "gather"`: `function`, `by`; one row of all rows, or of those with equal columns `by`. `failed` says what
      happens where rows before it have failed.

    With `share`, rows that ask the same have one answer; else each has its own. `version` stands for the code of a
    function that has no source.

    `prompt`, `system`, `input` and each message are templates. `needs` names columns and steps beside those in the
    templates. `params` go into the body of the call as they are. `timeout` of a call replaces that of `[batch]`,
    `request_timeout`.

    `fallback` names models that are asked in their order where `model` is given up, or refuses a call for good.

    `when` is a template: where it says nothing, `false`, `0` or `none`, the cell is empty. `schema`, `accept` and
    `accept_ended` judge an answer; `attempts` and `repair` say what happens to one that is not accepted. `output` says
    whether the value is the answer's text or the JSON in it, `columns` which of its members become columns; with
    `samples` the value is a list of that many answers.

    An embedding asks for up to `batch_size` texts in one call, of `batch_tokens` at most by our own count.
    """

    name: str = attrs.field(validator=_not_empty)
    kind: Literal["chat", "embedding", "python", "split", "filter", "gather"]
    model: str | None = attrs.field(default=None, validator=_not_empty)
    prompt: str | None = attrs.field(default=None, validator=_not_empty)
    system: str | None = attrs.field(default=None, validator=_not_empty)
    prompt_file: str | None = attrs.field(default=None, validator=_not_empty)
    system_file: str | None = attrs.field(default=None, validator=_not_empty)
    messages: list[MessageConfig] | None = None
    tools: str | list[dict[str, object]] | None = None
    tool_choice: str | None = attrs.field(default=None, validator=_not_empty)
    fallback: list[str] = attrs.field(factory=list)
    input: str | None = attrs.field(default=None, validator=_not_empty)
    function: str | None = attrs.field(default=None, validator=_not_empty)
    needs: list[str] | None = None
    params: dict[str, object] = attrs.field(factory=dict)
    timeout: float | None = attrs.field(default=None, validator=_above_zero)
    thread: bool = True
    workers: int = attrs.field(default=WORKERS, validator=_from(1))
    when: str | None = attrs.field(default=None, validator=_not_empty)
    schema: str | dict[str, object] | None = None
    schema_sent: bool | None = None
    key_includes_schema: bool | None = None
    accept: str | None = attrs.field(default=None, validator=_not_empty)
    accept_ended: list[Ended] | None = None
    attempts: int | None = attrs.field(default=None, validator=_from(1))
    repair: bool = True
    output: Literal["text", "json"] | None = None
    columns: list[str] | None = None
    samples: int = attrs.field(default=1, validator=[_from(1), _up_to(SAMPLES)])
    batch_size: int = attrs.field(default=1, validator=[_from(1), _texts])
    batch_tokens: int | None = attrs.field(default=None, validator=_from(1))
    share: bool = False
    version: str | None = attrs.field(default=None, validator=_not_empty)
    over: str | None = attrs.field(default=None, validator=_not_empty)
    by: list[str] | None = None
    failed: Literal["skip", "stop"] = "skip"
