"""The turns of a chat step: what is said in the model's context, each by somebody, as the TOML and its files say it.

A step says them in one of three ways: by `prompt`, by `prompt_file` (both with a `system` or `system_file` before it,
if it has one), or all of them by `messages`. Whichever it is, the call is the same, and so is what it is known by.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import attrs

from penstock import Problem
from penstock_batch.pipeline.beside import FileProblem, text_of
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.pipeline.templates import PromptTemplate, TemplateProblem

__all__ = ["Turn", "Turns", "compile_turns"]

_DIGEST_BYTES: Final = 16


@attrs.frozen
class Turn:
    """One message: the `role` of who says it, and the template of what is said."""

    role: str
    template: PromptTemplate


@attrs.frozen
class Turns:
    """The turns in their order. `seen` are digests of those that do not stand in the TOML."""

    turns: tuple[Turn, ...] = ()
    seen: tuple[str, ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        """The names that the templates look up."""
        return frozenset[str]().union(*(turn.template.variables for turn in self.turns))

    @property
    def attach(self) -> bool:
        """Whether one of them puts images or files into its message."""
        return any(turn.template.attached for turn in self.turns)


def compile_turns(config: StepConfig, folder: Path, found: list[Problem]) -> Turns:
    """The turns of a chat step; files are taken from `folder`. Adds to `found` what is wrong with them."""
    problems = list(_shape_problems(config))
    turns: list[Turn] = []
    seen: list[str] = []
    if not problems:
        for role, said in _said(config, folder, problems):
            where = "" if said.file is None else f"{said.file}: "
            try:
                turn = Turn(role, PromptTemplate(said.text))
            except TemplateProblem as problem:
                problems.append(Problem(said.path, f"{where}{problem}"))
                continue
            turns.append(turn)
            if role != "user" and turn.template.attached:
                what = f"calls {' and '.join(sorted(turn.template.attached))}, which only messages of the user can hold"
                problems.append(Problem(said.path, f"{where}{what}"))
            if said.file is not None:
                seen.append(blake2b(said.text.encode(), digest_size=_DIGEST_BYTES).hexdigest())
    found += problems
    return Turns(tuple(turns), tuple(seen))


@attrs.frozen
class _Said:
    text: str
    path: tuple[str | int, ...]
    file: Path | None = None


def _said(config: StepConfig, folder: Path, problems: list[Problem]) -> Iterator[tuple[str, _Said]]:
    """Each turn's role and its template, not compiled yet."""
    for number, message in enumerate(config.messages or ()):
        yield message.role, _Said(message.content, ("messages", number, "content"))
    inline = {"system": config.system, "prompt": config.prompt}
    files = {"system": config.system_file, "prompt": config.prompt_file}
    for key, role in (("system", "system"), ("prompt", "user")):
        text, name = inline[key], files[key]
        if text is not None:
            yield role, _Said(text, (key,))
        elif name is not None:
            path = folder / name
            try:
                yield role, _Said(text_of(path, "template"), (f"{key}_file",), path)
            except FileProblem as problem:
                problems.append(Problem((f"{key}_file",), str(problem)))


def _shape_problems(config: StepConfig) -> Iterator[Problem]:
    ways = [key for key in ("prompt", "prompt_file", "messages") if getattr(config, key) is not None]
    if not ways:
        yield Problem(("prompt",), "a chat step must have it, or prompt_file, or messages")
    for way in ways[1:]:
        yield Problem((way,), f"stands beside {ways[0]}; say what is asked in one way")
    if config.system is not None and config.system_file is not None:
        yield Problem(("system_file",), "stands beside system; say one of them")
    if config.messages is not None:
        if not config.messages:
            yield Problem(("messages",), 'holds none; write one as in { role = "user", content = "{{ text }}" }')
        for key in ("system", "system_file"):
            if getattr(config, key) is not None:
                yield Problem((key,), 'means nothing beside messages; say it there, by one with role = "system"')
