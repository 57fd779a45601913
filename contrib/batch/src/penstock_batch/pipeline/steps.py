"""The steps as they run: each with its templates compiled, its function found, its model known.

`compile_step` checks what the TOML says of a step against its kind, and reports all problems at once.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal, Protocol

import attrs

from penstock import MOST_TOKENS, Problem, ProviderConfig, value_in_words
from penstock_batch.pipeline.code import UnknownCode, code_of
from penstock_batch.pipeline.config import BATCH_TOKENS, WORKERS, StepConfig
from penstock_batch.pipeline.criteria import Criteria, compile_criteria
from penstock_batch.pipeline.functions import FunctionProblem, load_function, target_of
from penstock_batch.pipeline.row_files import RowFiles
from penstock_batch.pipeline.step_models import models_of
from penstock_batch.pipeline.templates import BUILT_IN, ROW, PromptTemplate, TemplateProblem, says_no
from penstock_batch.pipeline.tools import Tools, compile_tools
from penstock_batch.pipeline.turns import Turn, Turns, compile_turns
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.protocols import with_defaults
from penstock_batch.rows.lines import json_bytes
from penstock_batch.store.keys import HOLE, KeyForm

__all__ = ["RESPONSE", "GatheredRows", "Step", "compile_step"]

RESPONSE: Final = "response"
"""The column of the answers to calls that are passed through."""

_JUDGED: Final = ("when", "schema", "accept", "attempts", "columns")
_TOGETHER: Final = ("batch_size", "batch_tokens")
_ANSWERED: Final = ("schema_sent", "key_includes_schema", "accept_ended", "repair", "output", "samples")
_SAID: Final = ("prompt", "system", "prompt_file", "system_file", "messages", "tools", "tool_choice", "fallback")
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # kind: what it must have, what it may have beside
    "chat": (("model",), (*_SAID, "params", "timeout", "needs", "share", *_JUDGED, *_ANSWERED)),
    "embedding": (
        ("model", "input"),
        ("params", "timeout", "needs", "share", "when", "accept", "attempts", *_TOGETHER),
    ),
    "python": (("function", "needs"), ("thread", "timeout", "workers", "share", "version", *_JUDGED)),
    "split": ((), ("over", "function", "needs", "version")),
    "filter": ((), ("when", "function", "needs", "version")),
    "gather": (("function",), ("by", "failed", "thread", "timeout", "workers", "version")),
}
_EITHER: Final = {"split": "over", "filter": "when"}
"""What says by itself how rows are changed, where no function does."""
_OURS: Final = {"chat": ("model", "messages", "stream", "n"), "embedding": ("model", "input", "encoding_format")}

_MOST_TOKENS: Final = ("max_tokens", "max_completion_tokens")


class GatheredRows(Protocol):
    """The rows that a gather makes one of: in order, read as they are asked for, as often as they are."""

    @property
    def digest(self) -> str: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[dict[str, Any]]: ...


@attrs.frozen(kw_only=True)
class Step:
    """A step, ready to run. `uses` are the columns and steps that it needs, whether named by templates or by
    `needs`.
    """

    name: str
    kind: Literal["chat", "embedding", "python", "split", "filter", "gather"]
    uses: frozenset[str]
    model: StepModel | None = None
    fallback: Sequence[StepModel] = ()
    """The models that are asked in the place of `model` where it is given up or refuses the call for good."""
    turns: Sequence[Turn] = ()
    """What a chat step says, and in whose name."""
    files: RowFiles | None = None
    """The files that rows may name, where its turns hold images or files."""
    tools: Tools | None = None
    templates: Mapping[str, PromptTemplate] = attrs.field(factory=dict)
    function: Callable[..., Any] | None = None
    arguments: tuple[str, ...] = ()
    params: Mapping[str, Any] = attrs.field(factory=dict)
    untold: frozenset[str] = frozenset()
    """The params that the step does not say, and its model's dialect must be told."""
    timeout: float = 120.0
    thread: bool = True
    workers: int = WORKERS
    criteria: Criteria = attrs.field(factory=Criteria)
    when: PromptTemplate | None = None
    samples: int = 1
    schema_sent: bool = True
    key_includes_schema: bool = False
    share: bool = False
    batch_size: int = 1
    batch_tokens: int = BATCH_TOKENS
    code: str = ""
    """What a function is known by."""
    over: str | None = None
    by: tuple[str, ...] = ()
    failed: Literal["skip", "stop"] = "skip"
    rows_of: Callable[[Mapping[str, Any]], GatheredRows] | None = None
    """Of a gather that runs: the rows that are gathered into one, by the columns that they have in common."""
    seen: tuple[str, ...] = ()
    """What else decides about its answers and does not stand in the TOML: digests of files, code that judges."""
    passed: Sequence[Sequence[str]] = ()
    """The URLs and models whose calls it passes through, as an OpenAI batch file says them (`passing.py`)."""

    def body(self, contents: Sequence[Any]) -> dict[str, Any]:
        """The call with these contents of its messages, or with this one text for an embedding."""
        assert self.model is not None
        if self.kind == "embedding":
            return {"model": self.model.model_id, **self.params, "input": contents[0]}
        messages = [{"role": turn.role, "content": content} for turn, content in zip(self.turns, contents, strict=True)]
        return {"model": self.model.model_id, **self.params, "messages": messages}

    def asked_as(self, body: Mapping[str, Any]) -> list[Any]:
        """All that identifies a call with this body."""
        model, schema = self.model, self.criteria.schema
        assert model is not None
        identity = [model.dialect, self.kind, model.provider, model.model_id, body]
        return [*identity, schema.contents] if schema is not None and self.key_includes_schema else identity

    @cached_property
    def key_form(self) -> KeyForm:
        """What identifies its calls, but for the contents that are another for each row."""
        return KeyForm(self.asked_as(self.body([HOLE] * (len(self.turns) or 1))))

    @cached_property
    def names_row(self) -> bool:
        """Whether what it says needs the row as a whole."""
        said = [*(turn.template for turn in self.turns), *self.templates.values()]
        return any(ROW in template.variables for template in said)

    @property
    def models(self) -> list[StepModel]:
        """Its model, and those that are asked in its place; none of a Python step."""
        return [] if self.model is None else [self.model, *self.fallback]

    def said_to(self, model: StepModel, said: Mapping[str, Any]) -> dict[str, Any]:
        """What is `said` to its first model as another one is told it: without what only the first's dialect must be
        told, and with what this one's must.
        """
        if model is self.model:
            return dict(said)
        return with_defaults(
            model.dialect, self.kind, {name: value for name, value in said.items() if name not in self.untold}
        )

    def wanted(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these `values` needs the cell: without one it is empty. Raises `RenderError`."""
        return self.when is None or not says_no(self.when.render(values))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The columns that the step makes."""
        return (RESPONSE,) if self.passed else self.criteria.columns or (self.name,)

    def members(self, value: Any) -> dict[str, Any]:
        """The columns that the step makes of its value: `None` for a member that is not there, and of an empty cell."""
        columns = self.criteria.columns
        if not columns:
            return {self.name: value}
        return {name: value.get(name) if isinstance(value, dict) else None for name in columns}


def compile_step(
    config: StepConfig,
    *,
    known: frozenset[str],
    providers: Mapping[str, ProviderConfig],
    folder: Path,
    timeout: float,
    problems: list[Problem],
    files: Path | None = None,
) -> Step | None:
    """The step that `config` describes. `files` is the folder of the files that rows name, or else `folder`.

    `known` are the names of columns and steps: only among them may a template's name hide one of its built-in
    functions. Adds to `problems` and returns `None` if anything is wrong.
    """
    found = _shape_problems(config)
    turns = compile_turns(config, folder, found) if config.kind == "chat" else Turns()
    tools = compile_tools(config, folder, found) if config.kind == "chat" else None
    templates = {}
    for field in ("input", "when"):
        source = getattr(config, field)
        if source is not None and not found:
            try:
                templates[field] = PromptTemplate(source)
            except TemplateProblem as problem:
                found.append(Problem((field,), str(problem)))
    found += [
        Problem((field,), f"calls {' and '.join(sorted(template.attached))}, which only messages of the user can hold")
        for field, template in templates.items()
        if template.attached
    ]
    if "when" in templates and not templates["when"].variables:
        found.append(Problem(("when",), 'is the same for every row; write it as in "{{ urgency > 3 }}"'))
    params = config.params if tools is None else {**config.params, **tools.params}
    ours = _OURS.get(config.kind, ())
    said = {name: value for name, value in params.items() if name not in ours}
    models = models_of(config, said, providers, found)
    function = None
    if not found and config.function is not None:
        try:
            arguments = ["rows"] if config.kind == "gather" else config.needs or []
            function = load_function(config.function, arguments, folder)
        except FunctionProblem as problem:
            found.append(Problem(("function",), str(problem)))
    if config.kind in _EITHER and inspect.iscoroutinefunction(function):
        found.append(Problem(("function",), f"must be a plain function in a {config.kind} step, not an async one"))
    criteria = compile_criteria(config, folder, found)
    told = with_defaults(models[0].dialect, config.kind, params) if models else params
    code = ""
    if function is not None and not found:
        try:
            code = code_of(function, folder, config.version, target_of(config.function or ""))
        except UnknownCode as problem:
            found.append(Problem(("version",), str(problem)))
    if found:
        problems += [problem.below("steps", config.name) for problem in found]
        return None
    variables = turns.variables.union(*(template.variables for template in templates.values()))
    named = (*(config.needs or ()), *(config.by or ()), *(() if config.over is None else (config.over,)))
    uses = (variables - (BUILT_IN | {ROW}) | variables & known).union(named, _judged_by(criteria, known))
    when = templates.pop("when", None)
    return Step(
        name=config.name,
        kind=config.kind,
        uses=uses,
        model=models[0] if models else None,
        fallback=models[1:],
        turns=turns.turns,
        tools=tools,
        templates=templates,
        function=function,
        arguments=tuple(config.needs or ()),
        params=told,
        untold=frozenset(told.keys() - params.keys()),
        timeout=config.timeout if config.timeout is not None else timeout if models else math.inf,
        thread=config.thread,
        workers=config.workers,
        criteria=criteria,
        files=RowFiles.below(files or folder) if turns.attach else None,
        # Files that rows name may be others than they were: only who looks at each of them knows.
        seen=(*criteria.seen, *turns.seen, *(tools.seen if tools else ()), *((token_hex(16),) if turns.attach else ())),
        when=when,
        samples=config.samples,
        schema_sent=config.schema_sent is not False,
        key_includes_schema=config.key_includes_schema is True,
        share=config.share,
        batch_size=config.batch_size,
        batch_tokens=config.batch_tokens or BATCH_TOKENS,
        code=code,
        over=config.over,
        by=tuple(config.by or ()),
        failed=config.failed,
    )


def _judged_by(criteria: Criteria, known: frozenset[str]) -> frozenset[str]:
    """The columns and steps that the accepting function is given."""
    accept = criteria.accept
    return frozenset() if accept is None else frozenset(accept.wanted) - {ROW} | known.intersection(accept.optional)


def _shape_problems(config: StepConfig) -> list[Problem]:
    must, may = _FIELDS[config.kind]
    found = [
        Problem((field,), f"a {config.kind} step must have it") for field in must if getattr(config, field) is None
    ]
    other = _EITHER.get(config.kind)
    if other is not None and (getattr(config, other) is None) == (config.function is None):
        found.append(Problem((other,), f"a {config.kind} step must have either it or function"))
    empty = StepConfig(name=config.name, kind=config.kind)
    for field in attrs.fields(StepConfig):
        if field.name in ("name", "kind", *must, *may):
            continue
        if getattr(config, field.name) != getattr(empty, field.name):
            found.append(Problem((field.name,), f"means nothing in a {config.kind} step"))
    found += [
        Problem(("params", name), "is set by the step itself")
        for name in config.params
        if name in _OURS.get(config.kind, ())
    ]
    found += [
        Problem(
            ("params", name),
            f"must be a number of tokens, 1 to {MOST_TOKENS:,}, not {value_in_words(config.params[name])}",
        )
        for name in _MOST_TOKENS
        if name in config.params and config.kind == "chat" and not _is_count(config.params[name])
    ]
    if config.batch_tokens is not None and config.batch_size == 1 and config.kind == "embedding":
        found.append(Problem(("batch_tokens",), "means nothing without batch_size"))
    try:
        json_bytes(config.params)
    except (TypeError, ValueError) as error:
        found.append(Problem(("params",), f"cannot be sent as JSON: {error}"))
    return [*found, *_twice("needs", config.needs or ()), *_twice("by", config.by or ())]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_TOKENS


def _twice(field: str, names: Sequence[str]) -> Iterator[Problem]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield Problem((field,), f"names {name!r} twice")
