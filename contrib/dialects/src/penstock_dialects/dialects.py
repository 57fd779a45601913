"""Who speaks how: the shapes, headers and words of each provider, as rows of a table, and how a row is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

import attrs

from penstock import ConfigError, ErrorFields, HintFamily, Verdict, did_you_mean, value_in_words
from penstock_dialects import families
from penstock_dialects.judges import bedrock_error, judge_any, judge_gemini, judge_openrouter
from penstock_dialects.refusals import Refusal
from penstock_dialects.shapes.anthropic_messages import ANTHROPIC_MESSAGES
from penstock_dialects.shapes.bedrock import BEDROCK
from penstock_dialects.shapes.bedrock_stream import BEDROCK_STREAM
from penstock_dialects.shapes.cohere import COHERE
from penstock_dialects.shapes.gemini import GEMINI, GEMINI_EMBEDDINGS, GEMINI_INTERACTIONS
from penstock_dialects.shapes.local_servers import OLLAMA, TGI
from penstock_dialects.shapes.openai_chat import OPENAI_CHAT
from penstock_dialects.shapes.openai_embeddings import OPENAI_EMBEDDINGS
from penstock_dialects.shapes.openai_responses import OPENAI_RESPONSES
from penstock_dialects.shapes.shape import Shape

__all__ = ["ANY", "GROUP", "Dialect", "dialect_at", "dialect_names", "find_dialect", "forget_entry_points"]

GROUP: Final = "penstock.dialects"
"""The entry points by which a distribution adds a dialect; each names a `Dialect`."""

OPENAI_SHAPES: Final = (OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_EMBEDDINGS)

ALL_SHAPES: Final = (
    *OPENAI_SHAPES,
    ANTHROPIC_MESSAGES,
    GEMINI_EMBEDDINGS,
    GEMINI,
    GEMINI_INTERACTIONS,
    BEDROCK_STREAM,
    BEDROCK,
    OLLAMA,
    TGI,
    COHERE,
)

NO_WORDS: Final[Mapping[str, Verdict]] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Dialect:
    """The way in which a provider answers.

    `name`      as configuration names it
    `shapes`    the shapes of its answers; of those that recognise a value the first reads it
    `families`  the headers in which it reports limits
    `words`     what its codes mean, where that differs from what they mean elsewhere
    `judge`     its own opinion on a refusal, before all tables; `None` from it: none
    `error`     the words of a refusal where they stand elsewhere than in the body
    `hosts`     the hosts, or the ends of their names, at which it is spoken
    """

    name: str
    shapes: tuple[Shape, ...] = OPENAI_SHAPES
    families: tuple[HintFamily, ...] = families.ALL_FAMILIES
    words: Mapping[str, Verdict] = NO_WORDS
    judge: Callable[[Refusal], Verdict | None] | None = None
    error: Callable[[Mapping[str, str], ErrorFields], ErrorFields] | None = None
    hosts: tuple[str, ...] = ()
    limit_headers: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    """The names of the headers that say how large a limit is, or what is left of it: an answer that was no refusal and
    has none of them tells nothing of limits."""

    @limit_headers.default
    def _names_in_families(self) -> frozenset[str]:
        return families.limit_headers(self.families)


ANY: Final = Dialect(name="any", shapes=ALL_SHAPES, judge=judge_any, error=bedrock_error)
"""All that is known, for a provider of whom nothing is known: shapes and codes tell themselves apart."""

_BUILT_IN: Final = (
    ANY,
    Dialect(name="openai", hosts=("api.openai.com",)),
    Dialect(
        name="azure",
        families=(*families.AZURE, *families.ALL_FAMILIES),
        hosts=(".openai.azure.com", ".services.ai.azure.com"),
    ),
    Dialect(name="anthropic", shapes=(ANTHROPIC_MESSAGES,), hosts=("api.anthropic.com",)),
    Dialect(
        name="gemini",
        shapes=(GEMINI_EMBEDDINGS, GEMINI, GEMINI_INTERACTIONS, *OPENAI_SHAPES),
        judge=judge_gemini,
        hosts=("generativelanguage.googleapis.com", "-aiplatform.googleapis.com"),
    ),
    Dialect(
        name="bedrock",
        shapes=(BEDROCK_STREAM, BEDROCK, ANTHROPIC_MESSAGES, *OPENAI_SHAPES),
        error=bedrock_error,
        hosts=(".amazonaws.com", ".api.aws"),
    ),
    Dialect(name="groq", families=(*families.GROQ, *families.ALL_FAMILIES), hosts=("api.groq.com",)),
    Dialect(name="openrouter", judge=judge_openrouter, hosts=("openrouter.ai",)),
    Dialect(name="mistral", hosts=("api.mistral.ai",)),
    Dialect(name="deepseek", hosts=("api.deepseek.com",)),
    Dialect(name="together", families=(*families.TOGETHER, *families.ALL_FAMILIES), hosts=("api.together.ai",)),
    Dialect(name="fireworks", hosts=("api.fireworks.ai",)),
    Dialect(name="xai", hosts=("api.x.ai",)),
    Dialect(name="cerebras", hosts=("api.cerebras.ai",)),
    Dialect(name="perplexity", hosts=("api.perplexity.ai",)),
    Dialect(name="huggingface", hosts=("router.huggingface.co",)),
    Dialect(name="vllm"),
    Dialect(name="sglang"),
    Dialect(name="llamacpp"),
    Dialect(name="litellm"),
    Dialect(name="ollama", shapes=(OLLAMA, *OPENAI_SHAPES)),
    Dialect(name="tgi", shapes=(TGI, *OPENAI_SHAPES)),
    Dialect(name="cohere", shapes=(COHERE, *OPENAI_SHAPES), hosts=("api.cohere.com", "api.cohere.ai")),
)


@cache
def _known() -> dict[str, Dialect]:
    known = {dialect.name: dialect for dialect in _BUILT_IN}
    for point in entry_points(group=GROUP):
        try:
            dialect = point.load()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise ConfigError(f"the entry point {point.name} of {GROUP} cannot be loaded: {said:.300}") from error
        if not isinstance(dialect, Dialect):
            raise ConfigError(f"the entry point {point.name} of {GROUP} must name a Dialect, not {dialect!r:.100}")
        if dialect.name in known:
            raise ConfigError(f"the entry point {point.name} of {GROUP} adds {dialect.name!r}, which is there already")
        known[dialect.name] = dialect
    return known


def dialect_names() -> list[str]:
    """The names of all dialects, those of other distributions included."""
    return sorted(_known())


def find_dialect(name: str) -> Dialect:
    """The dialect of this name. Raises `ConfigError` where there is none."""
    given: object = name
    found = _known().get(name) if isinstance(given, str) else None
    if found is None:
        raise ConfigError(f"there is no dialect {value_in_words(given)}{did_you_mean(name, dialect_names())}")
    return found


def dialect_at(host: str) -> Dialect:
    """The dialect that is spoken at a host, where that is known; else `ANY`, which reads them all.

    >>> dialect_at("res.openai.azure.com").name
    'azure'
    """
    for dialect in _known().values():
        if any(host == known or (known[0] in ".-" and host.endswith(known)) for known in dialect.hosts):
            return dialect
    return ANY


def forget_entry_points() -> None:
    """The entry points are looked up again: distributions were installed meanwhile."""
    _known.cache_clear()
