"""The calls of an OpenAI batch file, passed through as they are: steps that nobody has written.

There is one for each kind of call and model that the file names, so that the task gate knows whose call a row is; a row
wants one of them. Where a row names a model that nobody knows, the first says so in its stead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from penstock import ENDINGS, Problem, ProviderConfig, did_you_mean
from penstock_batch.pipeline.criteria import Criteria
from penstock_batch.pipeline.steps import RESPONSE, Step
from penstock_batch.pipeline.templates import PromptTemplate
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.protocols import with_defaults
from penstock_batch.rows.reader import BadRow, Row
from penstock_dialects import prices_of

__all__ = ["NotPassed", "passed_body", "passed_steps"]

_KINDS: Final[Mapping[str, Literal["chat", "embedding"]]] = {
    "/v1/chat/completions": "chat",
    "/v1/embeddings": "embedding",
}
_MOST: Final = 1000
"""Different calls, by URL and model, that a file may name."""


class NotPassed(ValueError):
    """A call that cannot be passed through, in one line."""


@attrs.define
class _Route:
    kind: Literal["chat", "embedding"]
    model: StepModel
    said: list[list[str]] = attrs.field(factory=list)


def passed_steps(
    rows: Iterable[Row | BadRow], providers: Mapping[str, ProviderConfig], timeout: float, problems: list[Problem]
) -> list[Step]:
    """The steps for the calls of a file. Adds to `problems` if it has calls, and none of them can be made."""
    seen: set[tuple[str, str]] = set()
    routes: dict[tuple[str, str], _Route] = {}
    why: str | None = None
    for row in rows:
        if isinstance(row, BadRow) or (said := _said(row.values)) in seen:
            continue
        seen.add(said)
        if len(seen) > _MOST:
            problems.append(Problem(("input", "path"), f"names more than {_MOST:,} different URLs and models"))
            return []
        try:
            kind, model = _kind(said[0]), _model(said[1], providers)
        except NotPassed as error:
            why = why or f"line {row.line}: {error}"
            continue
        routes.setdefault((kind, model.name), _Route(kind, model)).said.append(list(said))
    if why is not None and not routes:
        problems.append(Problem(("input", "path"), f"holds no call that can be made; {why}"))
    found = list(routes.values())
    return [_step(route, found, timeout) for route in found]


def passed_body(step: Step, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the call that a row is, for the step that makes it. Raises `NotPassed`."""
    url, model = _said(columns)
    if [url, model] not in step.passed:
        _kind(url)
        known = ", ".join(dict.fromkeys(said for _, said in step.passed))
        raise NotPassed(f"asks for the model {model!r}, which is in no [providers], or in several; known is {known}")
    assert step.model is not None
    body = {**with_defaults(step.model.dialect, step.kind, columns["body"]), "model": step.model.model_id}
    for name, only in (("stream", False), ("n", 1), ("encoding_format", "float")):
        if body.get(name, only) != only:
            raise NotPassed(f"has {name!r} in its body, of which only {json.dumps(only)} can be passed on")
    if step.kind == "embedding" and not isinstance(body.get("input"), str):
        raise NotPassed("must have one text as input in its body; several are several calls here")
    return body


def _said(columns: Mapping[str, Any]) -> tuple[str, str]:
    model = columns["body"].get("model")
    return columns["url"], model if isinstance(model, str) else ""


def _kind(url: str) -> Literal["chat", "embedding"]:
    if url not in _KINDS:
        raise NotPassed(f"{url!r} cannot be called; {did_you_mean(url, _KINDS, otherwise='known are')}")
    return _KINDS[url]


def _model(said: str, providers: Mapping[str, ProviderConfig]) -> StepModel:
    """The model of that name: as the pipeline calls it (`provider/model`), or by the one provider that has it."""
    found = {}
    for provider_name, provider in providers.items():
        for alias, model in provider.models.items():
            name, model_id = f"{provider_name}/{alias}", model.model or alias
            if said in (name, alias, model_id):
                found[name] = StepModel(
                    name, provider_name, model_id, model.max_parallel_requests, provider.kind, prices_of(model)
                )
    if said in found:
        return found[said]
    if not found:
        known = [alias for provider in providers.values() for alias in provider.models]
        raise NotPassed(f"the model {said!r} is in no [providers]; {did_you_mean(said, known, otherwise='there are')}")
    if len(found) > 1:
        raise NotPassed(f"the model {said!r} is in several providers; write one of {', '.join(found)}")
    return next(iter(found.values()))


def _step(route: _Route, routes: list[_Route], timeout: float) -> Step:
    others = [said for other in routes if other is not route for said in other.said]
    first = route is routes[0]
    when = None
    if len(routes) > 1:
        condition = f"not in {json.dumps(others)}" if first else f"in {json.dumps(route.said)}"
        when = PromptTemplate("{{ [url, body['model'] | default('')] " + condition + " }}")
    return Step(
        name=RESPONSE if first else f"{RESPONSE} {route.kind} {route.model.name}",
        kind=route.kind,
        uses=frozenset(("custom_id", "url", "body")),
        model=route.model,
        timeout=timeout,
        criteria=Criteria(ended=frozenset(ENDINGS)),
        when=when,
        passed=route.said,
    )
