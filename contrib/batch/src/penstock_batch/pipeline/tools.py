"""The tools that a chat step offers its model: as the TOML or a file lists them, checked when the pipeline is loaded.

A list is OpenAI's. Of a function the name and the JSON Schema of its arguments are looked at, and with that schema a
call of it is judged; a tool of another `type` is the provider's own, and goes out as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from penstock import Problem, did_you_mean
from penstock_batch.pipeline.beside import FileProblem, json_of
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.pipeline.schema_problems import SchemaProblem
from penstock_batch.rows.lines import kept

if TYPE_CHECKING:
    from penstock_batch.pipeline.answer_schema import AnswerSchema

__all__ = ["Tools", "compile_tools"]

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CHOICES: Final = ("auto", "none", "required")
_DIGEST_BYTES: Final = 16
_EXAMPLE: Final = '{ type = "function", function = { name = "look_up", parameters = { type = "object" } } }'


@attrs.frozen(kw_only=True)
class Tools:
    """The tools of a step: what goes out as `params`, and the schemas of the arguments by function, where there are
    any. With `whole` the value of an answer has text and calls beside each other, also where nothing was called.
    """

    params: Mapping[str, Any]
    functions: Mapping[str, AnswerSchema | None]
    whole: bool
    seen: tuple[str, ...] = ()
    """The digest of a list that does not stand in the TOML."""

    def wrong_with(self, name: str, arguments: object) -> str | None:
        """What is wrong with a call of a function, in one line. Raises `TooMuchToJudge`."""
        if name not in self.functions:
            return f"it calls {name[:100]!r}, which is none of its tools"
        schema = self.functions[name]
        wrong = None if schema is None else schema.wrong_with(arguments)
        return None if wrong is None else f"it calls {name} with what does not fit: {wrong}"


def compile_tools(config: StepConfig, folder: Path, found: list[Problem]) -> Tools | None:
    """The tools of a chat step; a file is taken from `folder`. Adds to `found` what is wrong with them."""
    if config.tools is None:
        if config.tool_choice is not None:
            found.append(Problem(("tool_choice",), "means nothing without tools"))
        return None
    problems = [
        Problem(("params", key), f"is said by {key} too; say it there alone")
        for key in ("tools", "tool_choice")
        if key in config.params and getattr(config, key) is not None
    ]
    given: Any = config.tools
    seen: tuple[str, ...] = ()
    where = ""
    if isinstance(given, str):
        where = f"{folder / given}: "
        try:
            given = json_of(folder / given, "list of tools")
        except FileProblem as problem:
            found += [*problems, Problem(("tools",), str(problem))]
            return None
        seen = (blake2b(json.dumps(given).encode(), digest_size=_DIGEST_BYTES).hexdigest(),)
    functions: dict[str, AnswerSchema | None] = {}
    problems += [Problem(("tools", *path), f"{where}{what}") for path, what in _read(given, functions)]
    params = {"tools": given}
    if config.tool_choice is not None and not problems:
        if config.tool_choice in functions:
            params["tool_choice"] = {"type": "function", "function": {"name": config.tool_choice}}
        elif config.tool_choice in _CHOICES:
            params["tool_choice"] = config.tool_choice
        else:
            known = [*_CHOICES, *functions]
            what = f"is {config.tool_choice!r}, which is no function of its tools; "
            problems.append(
                Problem(("tool_choice",), what + did_you_mean(config.tool_choice, known, otherwise="there are"))
            )
    found += problems
    whole = config.output is None and config.schema is None
    return Tools(params=params, functions=functions, whole=whole, seen=seen)


def _read(given: object, functions: dict[str, AnswerSchema | None]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Puts the functions of a list among `functions`, and gives what is wrong with it, each with its place."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        yield (), f"must be a list of tools, as in [{_EXAMPLE}]"
        return
    if not given:
        yield (), "offers none; add one, or leave it out"
    for number, tool in enumerate(given):
        if not isinstance(tool, Mapping) or not isinstance(kind := tool.get("type"), str) or not kind:
            yield (number,), f"must say its type, as in {_EXAMPLE}"
        elif kind == "function":
            for path, what in _function(tool.get("function"), functions):
                yield (number, "function", *path), what
        else:
            try:
                kept(tool)
            except ValueError as error:
                yield (number,), f"cannot be sent as JSON: {error}"


def _function(given: object, functions: dict[str, AnswerSchema | None]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(given, Mapping):
        yield (), f"is missing; write {_EXAMPLE}"
        return
    name, parameters = given.get("name"), given.get("parameters")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield ("name",), "must be letters, digits, _ and -, at most 64"
        return
    if name in functions:
        yield ("name",), f"is {name!r} again, the name of another function before"
    functions[name] = None
    if parameters is not None:
        from penstock_batch.pipeline.answer_schema import AnswerSchema  # and what judges by it: much to load

        try:
            functions[name] = AnswerSchema(parameters if isinstance(parameters, Mapping) else _no_object())
        except SchemaProblem as problem:
            yield ("parameters",), str(problem)
    try:
        kept(given)
    except (TypeError, ValueError) as error:
        yield (), f"cannot be sent as JSON: {error}"


def _no_object() -> Mapping[str, Any]:
    raise SchemaProblem('must be a JSON Schema, as in { type = "object", properties = { city = {} } }')
