"""What an answer holds, gathered while it comes: its content for who asks, and what its verdict is made of.

A shape (`shapes/`) puts in what it finds; nothing here knows any provider. Whatever has the wrong type is not there.
"""

from __future__ import annotations

from typing import Any, Final

from penstock import MOST_TOKENS, ErrorFields, Usage
from penstock_dialects.tool_call import ToolCall

__all__ = ["Answer", "count_of", "list_of", "object_of", "text_of"]

_TEXTS: Final = frozenset({"text", "output_text"})
_OF_THE_OUTPUT: Final = ("output_tokens", "reasoning_tokens")
_THOUGHTS: Final = ("thinking", "reasoning", "reasoning_content")


def object_of(value: object) -> dict[str, Any]:
    """The value, if it is a JSON object; otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The value, if it is a JSON list; otherwise an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """The value, if it is a text; otherwise an empty one."""
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int | None:
    """The value, if it can be a number of tokens; otherwise it was not reported."""
    if type(value) is int:
        return value if 0 <= value <= MOST_TOKENS else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


class Answer:
    """The content of one answer, as far as it has come.

    `finish`  how it ended in the provider's word; `done`: the event has come after which there is nothing more
    `error`   the error that came in place of an answer, or after a part of it
    `vectors` the embeddings, and `places` which of the texts each says that it is of; `parts` the other parts of the
              content, as they came; `logprobs` log probabilities
    `known`   a shape has recognised something; `whole`: an answer that came in one piece, and so is not cut
    """

    def __init__(self) -> None:
        self.finish = ""
        self.done = False
        self.known = self.whole = False
        self.streamed = False
        self.error: ErrorFields | None = None
        self.vectors: list[Any] = []
        self.places: list[Any] = []
        self.parts: list[Any] = []
        self.logprobs: list[Any] = []
        self.refusal = ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self.tools: dict[object, ToolCall] = {}
        """The calls of tools that the model asks for, in the order in which they came."""
        self._counts: dict[str, int] = {}
        self._used: Usage | None = None
        """What was reported so far, made a record when it was asked for."""

    # -- content --

    @property
    def text(self) -> str:
        """The text of the first choice, its parts joined."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """What the model thought aloud, as far as it is shown."""
        return "".join(self._reasoning)

    @property
    def has_content(self) -> bool:
        """Whether it holds anything that somebody may have asked for."""
        return bool(self._text or self.tools or self.vectors or self.parts or self.refusal)

    def say(self, text: object) -> None:
        """A piece of the text."""
        if isinstance(text, str) and text:
            self._text.append(text)

    def replace_text(self) -> None:
        """What is said next is the whole text, and no further piece."""
        self._text.clear()
        self._reasoning.clear()

    def think(self, text: object) -> None:
        """A piece of the reasoning."""
        if isinstance(text, str) and text:
            self._reasoning.append(text)

    def use_tool(self, key: object, *, call_id: object = "", name: object = "", arguments: object = "") -> None:
        """A call of a tool, or a further piece of its arguments: `key` says of which."""
        call = self.tools.setdefault(key, ToolCall())
        call.id = call.id or text_of(call_id)
        call.name = call.name or text_of(name)
        call.arguments += text_of(arguments)

    def content(self, content: object) -> None:
        """A text, or a list of parts as Mistral, Cohere and the Responses API send it."""
        if isinstance(content, str):
            if content:
                self._text.append(content)
            return
        for part in list_of(content):
            kind = text_of(object_of(part).get("type"))
            if isinstance(part, str):
                self.say(part)
            elif kind in _TEXTS:
                self.say(part.get("text"))
            elif kind in _THOUGHTS:
                self._thoughts(part)
            elif isinstance(part, dict):
                self.parts.append(part)

    def _thoughts(self, part: dict[str, Any]) -> None:
        for name in _THOUGHTS:
            found = part.get(name)
            if isinstance(found, str):
                self.think(found)
            for inner in list_of(found):
                self.think(object_of(inner).get("text"))

    # -- usage --

    def count(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """What was reported of the usage; the last that was reported of each field counts."""
        counts = self._counts
        if input_tokens is not None:
            counts["input_tokens"] = min(input_tokens, MOST_TOKENS)
        if output_tokens is not None:
            counts["output_tokens"] = min(output_tokens, MOST_TOKENS)
        if cache_read_tokens is not None:
            counts["cache_read_tokens"] = min(cache_read_tokens, MOST_TOKENS)
        if cache_write_tokens is not None:
            counts["cache_write_tokens"] = min(cache_write_tokens, MOST_TOKENS)
        if reasoning_tokens is not None:
            counts["reasoning_tokens"] = min(reasoning_tokens, MOST_TOKENS)
        self._used = None

    def counted(self, name: str) -> int | None:
        """What was reported last of a field of `Usage`."""
        return self._counts.get(name)

    def usage(self, *, whole: bool = True) -> Usage | None:
        """What was used, as far as that was reported. Of an answer that is not `whole` the output is not known."""
        if not whole and self.streamed:
            reported = {name: count for name, count in self._counts.items() if name not in _OF_THE_OUTPUT}
            return Usage(**reported) if reported else None
        if self._used is None and self._counts:
            self._used = Usage(**self._counts)
        return self._used
