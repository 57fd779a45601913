"""What a step asks for a row: the call that goes out, and what it is known by. Pure.

What identifies a call is all that it says and to whom: the dialect, the kind of call, the provider's name and the
model's id, and the body without what `schema` adds to it, unless the step says so. Where the provider is, the key,
limits and time-outs do not count, nor does the step's name. A function is identified by its code and what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from penstock_batch.calls.judged_calls import with_schema
from penstock_batch.money.estimates import text_bytes
from penstock_batch.pipeline.attaching import Attaching
from penstock_batch.pipeline.beside import FileProblem
from penstock_batch.pipeline.passing import NotPassed, passed_body
from penstock_batch.pipeline.row_files import with_contents
from penstock_batch.pipeline.steps import Step
from penstock_batch.pipeline.templates import ROW, RenderError
from penstock_batch.providers.models import StepModel
from penstock_batch.store.keys import base_key

__all__ = ["Asked", "NotAsked", "ask", "asked_of", "asking"]

_CHARACTERS_PER_TOKEN: Final = 4


class NotAsked(Exception):
    """A row of which a call cannot be made, in one line."""


class Asked(msgspec.Struct, eq=False):
    """What is asked: `body` is the call in OpenAI's protocol, or what a function is called with; `base` identifies it.
    Where it has `attached` files the body has their digests, and what goes out their contents.

    What is `said` may be the body, or what makes it when somebody looks at it: of a cell that is kept nobody does.
    """

    said: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    base: bytes
    attached: bool = False

    @property
    def body(self) -> Mapping[str, Any]:
        """The call, or what a function is called with."""
        if callable(self.said):
            self.said = self.said()
        return self.said

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Asked):
            return NotImplemented
        return (self.base, self.attached, self.body) == (other.base, other.attached, other.body)

    __hash__ = None  # type: ignore[assignment]  # its body may be changed by whoever holds it

    def but(self, body: Mapping[str, Any]) -> Asked:
        """The same cell, asked by another body."""
        return Asked(body, self.base, self.attached)

    def whole(self) -> Mapping[str, Any]:
        """The body with what its files hold, which are read. Raises `NotAsked`."""
        try:
            whole: Mapping[str, Any] = with_contents(self.body)
        except FileProblem as problem:
            raise NotAsked(str(problem)) from None
        return whole

    def input_tokens(self, sent: bytes) -> int:
        """An estimate of the tokens of what is sent; a file counts for as much, whatever its size."""
        size = text_bytes(self.body) if self.attached else len(sent)
        return size // _CHARACTERS_PER_TOKEN + 1

    @property
    def output_tokens(self) -> int:
        """The most tokens that the answer may have; 0 where nothing says so."""
        most = self.body.get("max_completion_tokens", self.body.get("max_tokens"))
        return most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else 0


Asking = Callable[[Mapping[str, Any], Mapping[str, Any]], Asked]


def asking(step: Step) -> Asking:
    """What makes what `step` asks for a row, as `ask` does: of many rows all that is the step's alone is looked at
    once.
    """
    if step.kind != "chat" or step.passed or step.names_row or step.files is not None:
        return partial(ask, step)
    renders, key = [turn.template.render for turn in step.turns], step.key_form.key

    def texts_alone(values: Mapping[str, Any], _: Mapping[str, Any]) -> Asked:
        try:
            contents = [render(values) for render in renders]
        except RenderError as error:
            raise _not_filled_in(error) from None
        return Asked(partial(_body, step, contents), key(contents))

    return texts_alone


def ask(step: Step, values: Mapping[str, Any], columns: Mapping[str, Any]) -> Asked:
    """What `step` asks for a row with these `values`: its input `columns`, and the steps that are done. Raises
    `NotAsked`.
    """
    if step.kind == "python":
        missing = [name for name in step.arguments if name not in values]
        if missing:
            raise NotAsked(f"the row has no column {missing[0]!r}")
        given = {name: values[name] for name in step.arguments}
        return Asked(given, base_key(["python", step.code, given]))
    if step.kind == "gather":
        assert step.rows_of is not None
        rows = step.rows_of(values)
        return Asked({"rows": rows}, base_key(["gather", step.code, rows.digest, len(rows)]))
    if step.passed:
        body = _passed(step, columns)
        return Asked(body, base_key(step.asked_as(body)))
    contents = _contents(step, {**values, ROW: columns} if step.names_row else values)
    return Asked(partial(_body, step, contents), step.key_form.key(contents), step.files is not None)


def _body(step: Step, contents: Sequence[Any]) -> dict[str, Any]:
    body = step.body(contents)
    if step.schema_sent and step.criteria.as_json and step.criteria.schema is not None:
        assert step.model is not None
        return with_schema(body, step.criteria.schema, step.name, speaks=step.model.dialect)
    return body


def asked_of(step: Step, model: StepModel, asked: Asked) -> Asked:
    """What is asked of a fallback: the same, with what its dialect must be told, and the schema if it takes that."""
    body = step.said_to(model, asked.body)
    schema = step.criteria.schema
    if schema is not None and step.schema_sent and step.criteria.as_json and "response_format" not in step.params:
        body.pop("response_format", None)
        body = with_schema(body, schema, step.name, speaks=model.dialect)
    return asked.but(body)


def _passed(step: Step, columns: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return passed_body(step, columns)
    except NotPassed as error:
        raise NotAsked(str(error)) from None


def _contents(step: Step, values: Mapping[str, Any]) -> list[Any]:
    """What the templates of a step say for a row: the contents of its messages, or the text of an embedding. Raises
    `NotAsked`.
    """
    try:
        if step.kind == "embedding":
            return [step.templates["input"].render(values)]
        attaching = None if step.files is None else Attaching(step.files)
        return [turn.template.content(values, attaching) for turn in step.turns]
    except RenderError as error:
        raise _not_filled_in(error) from None


def _not_filled_in(error: RenderError) -> NotAsked:
    return NotAsked(f"the template cannot be filled in: {error}")
