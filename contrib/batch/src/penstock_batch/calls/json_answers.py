"""The JSON value in the text of an answer, as people mean it who ask a model for JSON. Pure.

Models put JSON into a fenced block, or a sentence before and after it, whatever they are asked for. So what counts is,
in this order: the whole text; the one fenced block in it; the text from its first bracket to its last, if that is one
object or array. What a model thought aloud (`<think>…</think>`) is left out. Anything else is no JSON, and so is what
readers of JSON differ about: a name twice in one object, NaN, more than 100 levels.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

from penstock_batch.rows.lines import DEEPEST, kept

__all__ = ["NoJson", "json_in"]

_FENCE: Final = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*(?:json[5cl]?|jsonc)?[ \t]*\n(.*?)\n?[ \t]*\1[ \t]*$", re.M | re.S | re.I
)
_THOUGHT_ENDS: Final = "</think>"


class NoJson(ValueError):
    """A text that holds no JSON value, or not one alone, in one line."""


def json_in(text: str) -> Any:
    """The JSON value in a text. Raises `NoJson`.

    >>> json_in('Here it is:\\n```json\\n{"a": 1}\\n```\\nI hope that helps.')
    {'a': 1}
    >>> json_in('{"a": 1} or {"a": 2}')
    Traceback (most recent call last):
    ...
    penstock_batch.calls.json_answers.NoJson: Extra data at character 10
    """
    said = text.strip().removeprefix("\ufeff")
    if not said:
        raise NoJson("there is no text")
    whole = _parsed(said)
    if not isinstance(whole, NoJson):
        return whole
    for part in _parts(said.rpartition(_THOUGHT_ENDS)[2]):
        inner = _parsed(part)
        if isinstance(inner, NoJson):
            raise inner
        return inner
    raise whole


def _parts(said: str) -> list[str]:
    """The part of a text that is meant, if there is one."""
    blocks = [found[2] for found in _FENCE.finditer(said)]
    if len(blocks) == 1:
        return blocks
    if blocks:
        raise NoJson(f"there are {len(blocks)} fenced blocks in it, and one is wanted")
    begin = min((at for bracket in "{[" if (at := said.find(bracket)) >= 0), default=-1)
    end = max(said.rfind("}"), said.rfind("]"))
    return [said[begin : end + 1]] if 0 <= begin < end else []


def _parsed(text: str) -> Any:
    """The value of a text that is JSON, or what is wrong with it."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once)
        return kept(value) if text.count("[") + text.count("{") > DEEPEST else value  # which looks how deep it is
    except RecursionError:
        return NoJson("it is nested too deeply")
    except json.JSONDecodeError as error:
        return NoJson(f"{error.msg} at character {error.pos + 1}")
    except ValueError as error:
        return NoJson(str(error))


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in made if names.count(name) > 1)!r} twice in one object")
    return made
