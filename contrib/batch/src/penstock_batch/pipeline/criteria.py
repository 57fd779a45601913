"""What a step asks of an answer before it takes it: how it must have ended, what it must hold, who else judges it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import attrs

from penstock import Ended, Problem
from penstock_batch.pipeline.accepting import Accept, load_accept
from penstock_batch.pipeline.code import UnknownCode, code_of
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.pipeline.functions import FunctionProblem, target_of
from penstock_batch.pipeline.schema_problems import SchemaProblem
from penstock_batch.store.keys import base_key

if TYPE_CHECKING:
    from penstock_batch.pipeline.answer_schema import AnswerSchema

__all__ = ["Criteria", "compile_criteria"]

ATTEMPTS: Final = 3


@attrs.frozen(kw_only=True)
class Criteria:
    """The criteria of a step, ready to judge by.

    - `ended`: how an answer may have ended; `empty` among them accepts one without text.
    - `as_json`: whether the value is the JSON in the text, which `schema` then judges.
    - `columns`: the members of the value that become columns.
    - `attempts`: how often a cell is asked in one run; `repair`: whether an answer that was not accepted goes back.
    """

    ended: frozenset[Ended] = frozenset(("stop",))
    as_json: bool = False
    schema: AnswerSchema | None = None
    accept: Accept | None = None
    columns: tuple[str, ...] = ()
    attempts: int = 1
    repair: bool = True
    seen: tuple[str, ...] = ()
    """What judges and does not stand in the TOML, as it is now: the schema, and the code of the function."""


def compile_criteria(config: StepConfig, folder: Path, found: list[Problem]) -> Criteria:
    """The criteria that `config` says; adds to `found` what is wrong with them."""
    found += _shape_problems(config)
    schema = accept = None
    try:
        if config.schema is not None:
            from penstock_batch.pipeline.answer_schema import read_schema  # and what judges by it: much to load

            schema = read_schema(config.schema, folder)
    except SchemaProblem as problem:
        found.append(Problem(("schema",), str(problem)))
    try:
        accept = None if config.accept is None else load_accept(config.accept, folder)
    except FunctionProblem as problem:
        found.append(Problem(("accept",), str(problem)))
    is_chat = config.kind == "chat"
    offers = config.tools is not None or "tools" in config.params
    ended: list[Ended] = ["stop", "tool_calls"] if offers else ["stop"]
    columns = config.columns
    if columns is None:
        columns = list(schema.properties) if schema and config.output == "json" and config.samples == 1 else []
    return Criteria(
        ended=frozenset(ended if config.accept_ended is None else config.accept_ended),
        as_json=is_chat and config.output != "text" and (config.output == "json" or schema is not None),
        schema=schema,
        accept=accept,
        columns=tuple(columns),
        attempts=config.attempts or (ATTEMPTS if is_chat else 1),
        repair=config.repair,
        seen=tuple(_seen(config, schema, accept, folder)),
    )


def _seen(config: StepConfig, schema: AnswerSchema | None, accept: Accept | None, folder: Path) -> Iterator[str]:
    if schema is not None:
        yield base_key([schema.contents]).hex()
    if accept is not None and config.accept is not None:
        try:
            yield code_of(accept.function, folder, None, target_of(config.accept))
        except UnknownCode:  # nobody can say whether it has changed: then it has
            yield token_hex(16)


def _shape_problems(config: StepConfig) -> Iterator[Problem]:
    columns = config.columns or []
    twice: list[str] = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    yield from (Problem(("columns",), f"names {name!r} twice") for name in twice)
    if "" in columns:
        yield Problem(("columns",), "names one that is empty")
    if columns and config.kind == "chat" and config.output != "json":
        yield Problem(("columns",), 'are members of JSON; say output = "json" too')
    if columns and config.samples > 1:
        yield Problem(("columns",), "mean nothing beside samples, whose column is a list")
    if config.accept_ended == []:
        yield Problem(("accept_ended",), 'must name how an answer may end, as in ["stop"]')
    if config.schema is None:
        for name in ("schema_sent", "key_includes_schema"):
            if getattr(config, name) is not None:
                yield Problem((name,), "means nothing without a schema")
