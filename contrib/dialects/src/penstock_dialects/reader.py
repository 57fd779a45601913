"""One answer, read while it comes: fed with the pieces of its body as they stood on the wire, asked for its meaning.

    reader = AnswerReader(find_dialect("openai"), status, headers)
    reader.feed(piece)  # again and again
    reader.end()
    reader.verdict, reader.hints, reader.text

Nothing in here waits, knows a client, or raises for what an answer holds: whatever comes has a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import attrs
from msgspec.structs import replace

from penstock import ErrorFields, Hints, ResponseFacts, Usage, Verdict, error_in, http_date, read_hints
from penstock_dialects.answer import Answer, count_of, object_of, text_of
from penstock_dialects.bare_errors import error_of_no_shape, status_of_words
from penstock_dialects.content_kinds import content_kind
from penstock_dialects.dialects import Dialect
from penstock_dialects.endings import ENDINGS_IN_WORDS, UNENDED
from penstock_dialects.event_stream import EventStream
from penstock_dialects.families import draft_limits, only_reset
from penstock_dialects.framing import BLANK, Framing
from penstock_dialects.invalid import Invalid
from penstock_dialects.judges import of_a_day
from penstock_dialects.opinions import judged
from penstock_dialects.refusals import Refusal
from penstock_dialects.shapes.bedrock_stream import read_metrics
from penstock_dialects.shapes.openai_usage import read_usage
from penstock_dialects.tool_call import ToolCall
from penstock_dialects.unpacking import COSTLY, LINE, Decoder, Memory, TooLarge, unpacker
from penstock_dialects.waits import wait_in_details, wait_in_text

__all__ = ["MEMORY", "AnswerReader"]

MEMORY: Final = Memory()
"""The bound on all answers that nobody gave another one: 64 MiB each, 512 MiB together."""

NO_DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = MappingProxyType({})
_NOTHING: Final = ErrorFields()
_NO_HINTS: Final = Hints()
_CUT: Final = Verdict(kind="provider_failure", ended="cut")


class AnswerReader:
    """The reader of one answer. `headers` have lower-case names.

    `wall_now`  the time of day, for moments in an answer without a date
    `decoders`  what unpacks br and zstd: encoding to a function that makes a `Decoder`
    `memory`    the bound that this answer shares with others
    `strict`    an answer that is none (a page of HTML, an empty body) is a failure

    Close it, or use it in a `with` block: what it took of `memory` is given back then.
    """

    def __init__(
        self,
        dialect: Dialect,
        status: int,
        headers: Mapping[str, str],
        *,
        wall_now: datetime | None = None,
        decoders: Mapping[str, Callable[[], Decoder]] = NO_DECODERS,
        memory: Memory = MEMORY,
        strict: bool = False,
    ) -> None:
        self.dialect = dialect
        self.status = status
        self.headers = headers
        self.too_large = ""
        """Why it was read no further, if it was too large."""
        self.fault = ""
        """What the dialect's own functions did wrong, if they did; the answer was then judged without them."""
        self._here = wall_now
        self._answer = Answer()
        self._kind = kind = content_kind(headers.get("content-type"))
        self._framing = EventStream(memory) if kind.messages else Framing(memory, events=kind.events)
        self._memory = memory
        self._strict = strict
        self._unpacker = unpacker(headers.get("content-encoding"), decoders)
        self._head = b""
        self._took = self._came_packed = self._work = 0
        self._closed = self._ended = self._broken = self._lost = self._came = False
        self._raw, self._refusal_in_body = dict[str, Any](), _NOTHING

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what comes --

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body, as it came over the wire."""
        if self._ended or self.too_large or not self._kind.text:
            return
        packed, self._came_packed = self._unpacker.encoding, self._came_packed + len(piece)
        try:
            for part in self._unpacker.feed(piece):
                if packed:
                    self._work += len(part) + LINE * (len(part) - len(part.translate(None, COSTLY)))
                    self._memory.grow(self._work, self._came_packed)
                self._memory.take(len(part), self._took)
                self._took += len(part)
                if not self._head:
                    self._head = part.lstrip(BLANK)[:1]
                if values := self._framing.feed(part):
                    self._put(values)
                self._memory.hold(self._framing.held, skimmed=self._framing.skimmed)
        except TooLarge as error:
            self.too_large = str(error)

    def end(self) -> None:
        """The body has ended."""
        if not self._ended and not self.too_large:
            self._put(self._framing.end())
            self.too_large = self._memory.too_many if self._framing.skimmed else ""
        self._ended = True

    def close(self) -> None:
        """Nothing more comes, and what was taken of the memory is free again. What has been read can still be asked."""
        if not self._closed:
            self._closed = True
            self._memory.give_back(self._took)

    # -- what it means --

    @property
    def unreadable(self) -> str:
        """The encoding of which nothing can be read; empty where the body can be."""
        return "" if self._unpacker.readable else self._unpacker.encoding

    @property
    def skimmed(self) -> bool:
        """Whether it was too large in its parts alone, and as a whole: its usage and its error are read then."""
        return self._framing.skimmed and self._framing.kind in ("whole", "lines")

    @property
    def complete(self) -> bool:
        """Whether the last event has come: there is nothing more, also if the connection stays open."""
        return self._answer.done or self._framing.last_word or self._answer.error is not None

    @property
    def hints(self) -> Hints:
        """What the answer tells of limits, as far as it has come."""
        refused = self.status >= 400 or self._answer.error is not None
        if not refused and self.dialect.limit_headers.isdisjoint(self.headers):
            return _NO_HINTS
        now = self._here if refused or any("reset" in name for name in self.headers) else None
        hints = read_hints(self.headers, refused=refused, wall_now=now, families=self.dialect.families)
        if "ratelimit" in self.headers:
            hints = attrs.evolve(hints, limits=(*hints.limits, *draft_limits(self.headers)))
        return self._with_waits(hints) if refused else hints

    @property
    def verdict(self) -> Verdict:
        """What the answer means, as far as it has come. Before its end a stream that goes well is a success."""
        if self.too_large and self._answer.error is None:
            return Verdict(kind="provider_failure", of="call", ended="error", code="answer_too_large", usage=self.usage)
        if self.status >= 400:
            return replace(self._judged(self.status, self._refusal_in_body), usage=self.usage)
        if self._answer.error is not None:
            error = self._answer.error
            status = error.status or status_of_words(error)
            found = self._judged(status, error)
            return replace(found, ended="error", usage=self._usage_of_a_part())
        return self._verdict_of_success()

    def facts(self, elapsed: float | None = None) -> ResponseFacts:
        """Status, headers, the provider's word for an error, hints and verdict, as an attempt takes them; `elapsed` are
        seconds since the call went out.
        """
        error = self.error if self.status >= 400 or self._answer.error is not None else None
        return ResponseFacts(
            status=self.status,
            headers=self.headers,
            error_type=None if error is None else next(iter(error.words), None),
            elapsed=elapsed,
            hints=self.hints,
            verdict=self.verdict,
        )

    # -- what it holds --

    @property
    def error(self) -> ErrorFields | None:
        """The error that the answer holds, in its provider's words; `None` where there is none."""
        if self._answer.error is not None:
            return self._answer.error
        return self._refusal_in_body if self.status >= 400 else None

    @property
    def usage(self) -> Usage | None:
        """What was used, as far as it was reported."""
        return self._answer.usage() or self._usage_in_headers()

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self._answer.text

    @property
    def refusal(self) -> str:
        """The words in which the model refused."""
        return self._answer.refusal

    @property
    def reasoning(self) -> str:
        """What is shown of how the model came to it."""
        return self._answer.reasoning

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools that the model wants to be called."""
        return list(self._answer.tools.values())

    @property
    def parts(self) -> list[Any]:
        """Parts of the content that are neither text nor tools nor reasoning, as they came."""
        return self._answer.parts

    @property
    def logprobs(self) -> list[Any]:
        """Log probabilities, as they came."""
        return self._answer.logprobs

    @property
    def vectors(self) -> list[Any]:
        """The embeddings, as they came."""
        return self._answer.vectors

    @property
    def places(self) -> list[Any]:
        """Which of the texts each embedding says that it is of, from 0; `None` where it does not say."""
        return self._answer.places

    # -- inside --

    @property
    def _wall_now(self) -> datetime | None:
        """The time of day: the answer's own, if it says that."""
        return http_date(self.headers.get("date")) or self._here

    def _put(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, Invalid):
                self._broken = True
                self._lost = self._lost or (value.begun and not self._answer.finish and not self.complete)
                continue
            self._came = True
            if isinstance(value, list):
                for each in value[: 1 if self.status >= 400 else self._memory.parts]:
                    self._take(each)
            else:
                self._take(value)

    def _take(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        answer = self._answer
        if self._framing.kind != "whole" or "candidates" in value:
            answer.streamed = True
        try:
            if self.status >= 400:
                self._take_refusal(value)
                return
            error = error_in(value) if "error" in value or "errors" in value else None
            if error is None and value.get("object") == "error":
                error = error_in({"error": value})
            if error is not None:
                self._raw = object_of(value.get("error"))
                answer.error = error
            for shape in self.dialect.shapes:
                if shape.recognises(value):
                    answer.known = True
                    shape.read(value, answer)
                    break
            else:
                read_usage(value.get("usage"), answer)
                answer.error = answer.error or error_of_no_shape(value)
            if "amazon-bedrock-invocationMetrics" in value:
                read_metrics(value, answer)
        except Exception:  # a shape of a third party, or a value that nobody thought of: it has a verdict all the same
            self._broken = self._lost = True

    def _take_refusal(self, value: dict[str, Any]) -> None:
        error = error_in(value) or error_in({"error": value}) or _NOTHING
        if not error.message:
            error = attrs.evolve(error, message=text_of(value.get("detail")) or text_of(value.get("message")))
        self._raw = object_of(value.get("error")) or value
        self._refusal_in_body = error

    def _judged(self, status: int, error: ErrorFields) -> Verdict:
        found, fault = judged(self.dialect, Refusal(status, self.headers, error, self.hints, self._raw))
        self.fault = self.fault or fault
        return found

    def _with_waits(self, hints: Hints) -> Hints:
        """What headers, details and the text of the error ask for: the longest, since some round down."""
        error = self.error or _NOTHING
        asked = hints.not_before_seconds
        found = [] if asked is None else [(asked, hints.said_by)]
        details = self._raw.get("details")
        delay = wait_in_details(details) if isinstance(details, list) and not of_a_day(details) else None
        availability = object_of(self._raw.get("availability"))
        more = count_of(availability.get("retry_after"))
        passed_on = object_of(object_of(self._raw.get("metadata")).get("headers"))  # those of an upstream: OpenRouter
        upstream = {name.lower(): value for name, value in passed_on.items() if isinstance(value, str)}
        for seconds, said_by in (
            (delay, "RetryInfo"),
            (
                None if isinstance(details, list) and delay is None else wait_in_text(error.message, self._wall_now),
                "text",
            ),
            (None if more is None else float(more), "availability"),
            (read_hints(upstream, refused=True, wall_now=self._wall_now).not_before_seconds, "metadata"),
        ):
            if seconds is not None and seconds < float("inf"):
                found.append((seconds, said_by))
        if not found and (reset := only_reset(self.headers)) is not None:
            found.append(reset)
        if not found:
            return hints
        seconds, said_by = max(found)
        return attrs.evolve(hints, not_before_seconds=seconds, said_by=said_by)

    def _usage_of_a_part(self) -> Usage | None:
        return self._answer.usage(whole=False) or self._usage_in_headers()

    def _usage_in_headers(self) -> Usage | None:
        found = {name: count_of(_int(self.headers.get(header))) for name, header in _IN_HEADERS.items()}
        return Usage(**found) if any(count is not None for count in found.values()) else None

    def _verdict_of_success(self) -> Verdict:
        answer = self._answer
        word = answer.finish.lower()
        code = word if answer.finish else ""
        if answer.refusal and word in ("", "stop", "completed", "refusal"):
            return Verdict(kind="provider_failure", of="call", ended="refusal", code="refusal", usage=self.usage)
        if self._lost and self._framing.kind != "whole":
            return replace(_CUT, usage=self._usage_of_a_part())
        if word and word not in UNENDED:
            return self._verdict_of_finish(word, code)
        if word in UNENDED or not self._ended:
            return Verdict(kind="success", usage=self.usage)
        if answer.done or self._framing.last_word:
            return self._verdict_of_finish("stop", code)
        if self.unreadable or not self._kind.text:
            return Verdict(kind="success", usage=self.usage)
        if not self._came and (self._framing.kind == "events" or self._kind.events):
            return _CUT  # kept waiting by comments, and then left
        if answer.whole and answer.has_content and not self._broken:
            return self._verdict_of_finish("stop", code)
        if answer.known or (self._broken and (self._head in b"{[" or self._framing.kind == "messages")):
            return replace(_CUT, usage=self._usage_of_a_part())
        if self._strict or self._head == b"<":  # a page, and no model's answer
            return Verdict(kind="provider_failure", ended="error", code="no_answer", usage=self.usage)
        return Verdict(kind="success", usage=self.usage)

    def _verdict_of_finish(self, word: str, code: str) -> Verdict:
        ended = ENDINGS_IN_WORDS.get(word, "stop")
        usage = self.usage
        if ended in ("content_filter", "refusal"):
            return Verdict(kind="provider_failure", of="call", ended=ended, code=code, usage=usage)
        if ended == "error":
            return Verdict(kind="provider_failure", ended="error", code=code, usage=usage)
        if ended == "stop" and self._answer.tools:
            ended = "tool_calls"
        if not self._answer.has_content:
            paid = usage is None or usage.output_tokens != 0
            if not (paid and self._came):
                return Verdict(kind="provider_failure", ended=ended, code="no_text", usage=usage)
            ended = "empty" if ended == "stop" else ended
        return Verdict(kind="success", ended=ended, code=code, usage=usage)


_IN_HEADERS: Final = {
    "input_tokens": "x-amzn-bedrock-input-token-count",
    "output_tokens": "x-amzn-bedrock-output-token-count",
}


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None
