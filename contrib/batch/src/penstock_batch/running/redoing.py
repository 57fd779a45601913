"""Cells that are to be asked again on purpose: their answers are found no more, and stay in the store's accounts.

Which of them is said by an expression over an answer and its row, in the language and the sandbox of the templates:
`ended == "length"`, `output_tokens > 300 and row.lang == "de"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from penstock import ConfigError, Problem, did_you_mean
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.templates import BUILT_IN, ROW, PromptTemplate, RenderError, TemplateProblem
from penstock_batch.running.kept_stages import kept_stages
from penstock_batch.store.answer import Answer
from penstock_batch.store.store import Store

__all__ = ["Redo"]

_ANSWER: Final = (
    "value",
    "text",
    "refusal",
    "reasoning",
    "ended",
    "cost",
    "by",
    "model",
    "fingerprint",
    "at",
    "elapsed",
)
_TOKENS: Final = ("input_tokens", "output_tokens")
_TRUE: Final = "yes"


class Redo:
    """The cells of `step`, those of which `where` is true of the last answer. Raises `ConfigError` for a step that is
    not there and for what is no expression.
    """

    def __init__(self, pipeline: Pipeline, step: str, where: str | None) -> None:
        names = [each.name for each in pipeline.steps]
        change = next((each for each in pipeline.changes if each.name == step), None)
        if change is not None and change.kind != "gather":
            what = f"{step!r} is a {change.kind}, which is made anew in each run; nothing is kept of it"
            raise ConfigError(Problem(("--redo",), what))
        if step not in names:
            hint = did_you_mean(step, names, otherwise="there are")
            raise ConfigError(Problem(("--redo",), f"there is no step {step!r}; {hint}"))
        self._pipeline = pipeline
        self._step = step
        stage = next(stage for stage in pipeline.stages if step in stage.needs)
        self._where = None if where is None else _expression(where, sorted(stage.seen))

    def retire(self, store: Store, limit: int | None) -> int:
        """How many cells are to be asked again: their answers are not found any more. Nothing is changed if the
        expression fails for one of them: then `ConfigError` names its row.
        """
        keys: dict[bytes, None] = {}
        with closing(kept_stages(self._pipeline, store, limit)) as stages:
            for stage in stages:
                for row in stage.rows:
                    claim = row.kept.get(self._step) or row.claims.get(self._step)
                    for open_claim in row.claims.values():
                        stage.claims.release(open_claim)
                    for each in () if claim is None else claim.samples:
                        if each.answers and self._meant(each.answers[-1], row.row.values, stage.line(row.row)):
                            keys[each.key] = None
                if self._step in stage.pipeline.needs:
                    break
        for key in keys:
            store.retire(key)
        store.commit()
        return len(keys)

    def _meant(self, answer: Answer, columns: Mapping[str, Any], line: str) -> bool:
        if self._where is None:
            return True
        fields = {name: getattr(answer, name) for name in _ANSWER}
        fields |= {name: getattr(answer.usage, name) for name in _TOKENS}
        try:
            return self._where.render({**columns, **fields, ROW: columns}) == _TRUE
        except RenderError as error:
            raise ConfigError(Problem(("--where",), f"cannot be said of {line}: {error}")) from None


def _expression(where: str, names: list[str]) -> PromptTemplate:
    """A template that says whether an expression is true."""
    try:
        made = PromptTemplate("{% if (" + where + ") %}" + _TRUE + "{% endif %}")
    except TemplateProblem as problem:
        like = 'one is as in templates: ended == "length" and not row.draft'
        raise ConfigError(Problem(("--where",), f"is no expression: {problem}; {like}")) from None
    known = [*_ANSWER, *_TOKENS, ROW, *names]
    for name in sorted(made.variables - BUILT_IN.union(known)):
        hint = did_you_mean(name, known, otherwise="there are")
        raise ConfigError(Problem(("--where",), f"there is no {name!r}; {hint}"))
    return made
