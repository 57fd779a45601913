"""The tables that a pipeline's TOML has beside the core's own: `[input]`, `[output]`, `[batch]` and `[[steps]]`.

Records only; what they mean together is `loading.py`'s. Every duration is in seconds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from penstock import Ended, in_schema
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
    @in_schema(minimum=least)
    def check(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
        if value is not None and value < least:
            raise ValueError(f"must be at least {least:g}, not {value!r}")

    return check


def _up_to(most: float) -> Any:
    @in_schema(maximum=most)
    def check(_: object, __: attrs.Attribute[Any], value: float) -> None:
        if value > most:
            raise ValueError(f"must be at most {most:g}, not {value!r}")

    return check


@in_schema(maximum=BATCH_SIZE)
def _texts(_: object, __: attrs.Attribute[Any], value: int) -> None:
    if value > BATCH_SIZE:
        raise ValueError(f"must be at most {BATCH_SIZE}, the most texts that a provider takes in one call, not {value}")


@in_schema(exclusiveMinimum=0)
def _above_zero(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"must be above 0, not {value!r}")


@in_schema(minimum=0)
def _budget(_: object, __: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise ValueError(f"must be an amount of money from 0 on, not {value!r}")


@in_schema(pattern=r"\S")
def _not_empty(_: object, __: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError("must not be empty")


@attrs.frozen(kw_only=True)
class InputConfig:
    """`[input]`: where the rows come from.

    - `path`: taken from the folder of the TOML; `-` is standard input.
    - `format`: follows from the ending if left out.
    - `table`: that of a database.
    - `copy`: the run reads a copy made when it begins; it does so anyway where the path is a pipe.
    """

    path: Path
    format: Format | None = None
    table: str | None = attrs.field(default=None, validator=_not_empty)
    copy: bool = False


@attrs.frozen(kw_only=True)
class OutputConfig:
    """`[output]`: where the rows go.

    - `path`: taken from the folder of the TOML; `-` is standard output.
    - `format`: what is written; follows from the ending if left out.
    - `table`: that of a database.
    - `store`: where answers are kept, and beside it the failed rows; beside the output if left out.
    - `columns`: what is written, as a list of names, or as a table of new names to columns.
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
    """One of a step's `messages`.

    - `role`: who says it.
    - `content`: a template of what is said.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str = attrs.field(validator=_not_empty)


@attrs.frozen(kw_only=True)
class StepConfig:
    """`[[steps]]`: one new column, or other rows.

    - `kind = "chat"`: `model`, `prompt`, optionally `system` (or from files, `prompt_file` and `system_file`), or all
      turns by `messages`; the value is the answer's text. With `tools` it is an object of text and calls.
    - `kind = "embedding"`: `model`, `input`; the value is the vector.
    - `kind = "python"`: `function`, `needs`; the value is what it returns.
    - `kind = "split"`: `over`, or `function` and `needs`; a row for each item.
    - `kind = "filter"`: `when`, or `function` and `needs`; rows for which it says no leave.
    - `kind = "gather"`: `function`, `by`; one row of all rows, or of those with equal columns `by`.

    The keys:

    - `name`: of the step, and of its column.
    - `kind`: what it does.
    - `model`: who is asked, as provider/model.
    - `prompt`: a template of what is asked.
    - `system`: a template of what the model is told beforehand.
    - `prompt_file`, `system_file`: the same from a file, taken from the folder of the TOML.
    - `messages`: all turns, in the place of a prompt.
    - `tools`: what the model may call, as a list or a JSON file of one.
    - `tool_choice`: whether one is to be called, or which.
    - `fallback`: models that are asked in their order where `model` is given up, or refuses a call for good.
    - `input`: a template of what is embedded.
    - `function`: what does the work, as module:function.
    - `needs`: columns and steps beside those in the templates.
    - `params`: these go into the body of the call as they are.
    - `timeout`: seconds, after which a function's row fails; of a call, in the place of `request_timeout` of `[batch]`.
    - `thread`: whether a function runs in a thread; with false, in the event loop.
    - `workers`: how many threads a function has.
    - `when`: a template; where it says nothing, `false`, `0` or `none`, the cell is empty.
    - `schema`: a JSON Schema, or a file of one, that the answer must fit.
    - `schema_sent`: whether it is passed on to the provider.
    - `key_includes_schema`: whether an answer is asked for anew where the schema has changed.
    - `accept`: a function, as module:function, that says whether an answer will do.
    - `accept_ended`: the endings of an answer that will do.
    - `attempts`: how often is asked for an answer that will do.
    - `repair`: whether the model is told what was wrong.
    - `output`: whether the value is the answer's text or the JSON in it.
    - `columns`: which members of the JSON become columns.
    - `samples`: with more than one, the value is a list of that many answers.
    - `batch_size`: texts in one call of an embedding, at most.
    - `batch_tokens`: their tokens by our own count, at most.
    - `share`: rows that ask the same have one answer; else each has its own.
    - `version`: it stands for the code of a function that has no source.
    - `over`: a column with a list.
    - `by`: the columns that rows of one group have in common; without it all rows are one.
    - `failed`: what happens where rows before it have failed.
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
