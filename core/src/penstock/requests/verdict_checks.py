"""What is looked at when a verdict is made, or an outcome, or what a call has used: each is made once per call.

Apart from the records, so that it can be compiled: so it takes whatever their fields hold.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.requests.verdict_words import ENDINGS, LIMITED_BY, OF, OUTCOME_KINDS
from penstock.words.checks import MOST_TOKENS, is_text, shown, whole_number
from penstock.words.errors import ConfigError

__all__ = ["check_usage", "check_verdict"]

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "kind": OUTCOME_KINDS, "limited_by": LIMITED_BY, "of": OF, "ended": ENDINGS
}  # fmt: skip
_COUNTS: Final[tuple[str, ...]] = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"
)  # fmt: skip


def check_usage(usage: Any) -> None:
    """Raises `ConfigError` unless these are numbers of tokens, or not known."""
    inp, out = usage.input_tokens, usage.output_tokens
    told = type(inp) is int and type(out) is int and 0 <= inp <= MOST_TOKENS and 0 <= out <= MOST_TOKENS
    if told and usage.cache_read_tokens is usage.cache_write_tokens is usage.reasoning_tokens is None:
        return  # as nearly always
    for name in _COUNTS:
        count = getattr(usage, name)
        if count is not None and (type(count) is not int or not 0 <= count <= MOST_TOKENS):
            whole_number(count, f"usage.{name}", 0, MOST_TOKENS)


def check_verdict(verdict: Any) -> None:
    """Raises `ConfigError` unless these are words of a verdict, or of an outcome; all but the kind may be missing."""
    kind, ended = verdict.kind, verdict.ended
    if type(kind) is not str or kind not in OUTCOME_KINDS:
        _check_word("kind", kind)
    if ended is not None and (type(ended) is not str or ended not in ENDINGS):
        _check_word("ended", ended)
    if verdict.limited_by is not None:
        _check_word("limited_by", verdict.limited_by)
    if verdict.of is not None:
        _check_word("of", verdict.of)


def _check_word(what: str, word: object) -> None:
    if not (is_text(word) and word in _WORDS[what]):
        raise ConfigError(f"{what} {shown(word)} is none of {', '.join(_WORDS[what])}")
