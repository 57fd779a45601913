"""What the mock says where JSON is asked for (`response_format`): an object that fits the schema, made of the question.

Texts are those of `chat_answer`, numbers and choices follow from the question, so the same question has the same
answer. What a schema says with `pattern`, `format`, `not` and conditions is not heeded. A share of the answers is
spoiled in the ways of true models: broken off, a member missing, or a sentence in the place of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

from penstock_mockprovider.answers import chat_answer

__all__ = ["SPOILED", "Spoiled", "json_answer", "spoiled", "wanted_schema"]

Spoiled = Literal["broken", "member", "prose"]
SPOILED: Final[tuple[Spoiled, ...]] = ("broken", "member", "prose")
_DEEPEST: Final = 12


def wanted_schema(response_format: object) -> Mapping[str, Any] | None:
    """The schema of the answer that a call asks for: any object for `json_object`, `None` where it wants no JSON."""
    if not isinstance(response_format, dict):
        return None
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    inner = response_format.get("json_schema")
    if response_format.get("type") != "json_schema" or not isinstance(inner, dict):
        return None
    schema = inner.get("schema")
    return schema if isinstance(schema, dict) else {}


def json_answer(schema: Mapping[str, Any], material: str) -> Any:
    """A value that fits `schema`, made of `material`.

    >>> json_answer({"type": "object", "properties": {"title": {}, "open": {"type": "boolean"}}}, "A gate. So.")
    {'title': 'A gate.', 'open': False}
    """
    return _Maker(schema, material).value(schema, "", 0)


class _Maker:
    """One answer in the making."""

    def __init__(self, root: Mapping[str, Any], material: str) -> None:
        self._root = root
        self._material = material
        self._text = chat_answer("", material)

    def value(self, schema: object, place: str, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return self._text if schema is True else None
        if isinstance(schema.get("$ref"), str):
            return self.value(self._at(schema["$ref"]), place, depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][self._number(place) % len(schema["enum"])]
        for several in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(several), list) and schema[several] and "type" not in schema:
                return self.value(schema[several][0], place, depth + 1)
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object" or (kind is None and "properties" in schema):
            properties = schema.get("properties")
            members = properties if isinstance(properties, dict) else {}
            return {name: self.value(inner, f"{place}/{name}", depth + 1) for name, inner in members.items()}
        if kind == "array":
            return self._array(schema, place, depth)
        return self._scalar(kind, schema, place)

    def _array(self, schema: Mapping[str, Any], place: str, depth: int) -> list[Any]:
        items = schema.get("items", True)
        least = _whole(schema, "minItems", 0)
        listed = self._text.split(", ")  # the answer to a question for keywords
        if len(listed) >= max(least, 2) and isinstance(items, dict) and items.get("type") == "string":
            return [_fitted(each, items) for each in listed[: _whole(schema, "maxItems", len(listed))]]
        count = max(least, min(_whole(schema, "maxItems", 3), 1 + self._number(place) % 3))
        return [self.value(items, f"{place}/{i}", depth + 1) for i in range(min(count, 100))]

    def _scalar(self, kind: object, schema: Mapping[str, Any], place: str) -> Any:
        if kind in ("integer", "number"):
            least = _whole(schema, "minimum", _whole(schema, "exclusiveMinimum", -1) + 1)
            most = max(_whole(schema, "maximum", _whole(schema, "exclusiveMaximum", least + 101) - 1), least)
            return least + self._number(place) % (most - least + 1)
        if kind == "boolean":
            return self._number(place) % 2 == 0
        if kind == "null":
            return None
        return _fitted(self._text, schema)

    def _number(self, place: str) -> int:
        exact = f"{place}\n{self._material}".encode(errors="surrogatepass")
        return int.from_bytes(blake2b(exact, digest_size=4).digest(), "little")

    def _at(self, reference: str) -> object:
        found: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step) if isinstance(found, dict) else None
        return found


def _fitted(text: str, schema: Mapping[str, Any]) -> str:
    return text[: _whole(schema, "maxLength", len(text))].ljust(min(_whole(schema, "minLength", 0), 10_000), ".")


def _whole(schema: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = schema.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def spoiled(value: Any, how: Spoiled) -> str:
    """The text of an answer that was to be `value`, and is not."""
    whole = json.dumps(value, ensure_ascii=False)
    if how == "prose":
        return "I am sorry, but I would rather put it into words."
    if how == "member" and isinstance(value, dict) and value:
        *kept, last = value
        return json.dumps(
            {**{name: value[name] for name in kept}, f"{last} (of another type)": [None]}, ensure_ascii=False
        )
    return whole[: max(1, len(whole) - 2)] if len(whole) > 2 else "{"
