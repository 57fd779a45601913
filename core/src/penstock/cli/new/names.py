"""What a new plugin is called: by its users, by pip, by Python, and in its own code. Nothing that is there already is
hidden by it."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final

import attrs

from penstock.config.words import value_in_words
from penstock.plugins.discovery import PLUGIN_GROUP
from penstock.words.errors import ConfigError

__all__ = ["DIALECT_GROUP", "LONGEST", "TAKEN", "NewNames", "names_of_distribution", "names_of_file"]

DIALECT_GROUP: Final = "penstock.dialects"
PREFIX: Final = "penstock-"
LONGEST: Final = 30
"""Characters of a name: with more, the lines of the templates would be too long."""

RULE: Final = f"lower-case letters and digits, with single hyphens between them, from a letter on, at most {LONGEST}"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


TAKEN: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        PLUGIN_GROUP: _words(
            "core fifo nursery",
            "fair fairqueue jsonl otel processes ray threads",
            "aimd bounded-borrow breaker cooldown latency sequential strict-fair token-budget",
            "asyncio batch bench dialects endpoints gateway httpx mockprovider wire worker",
        ),
        DIALECT_GROUP: _words(
            "any openai azure anthropic gemini bedrock groq openrouter mistral deepseek together fireworks xai",
            "cerebras perplexity huggingface vllm sglang llamacpp litellm ollama tgi cohere",
        ),
    }
)
"""By group of entry points, the names that Penstock's own distributions have, whether they are installed or not."""


@attrs.frozen
class NewNames:
    """`plugin` is the name in a configuration, `distribution` what pip installs, `module` what Python imports."""

    plugin: str
    distribution: str
    module: str


def names_of_distribution(name: str, given: str | None, group: str) -> NewNames:
    """The names of a plugin in a distribution: `given`, or `penstock-NAME`. Raises `ConfigError` for a name that is
    none, or that would hide something that is there."""
    plugin = _checked(name.removeprefix(PREFIX), "plugin", group)
    names = NewNames(plugin, *_distribution(given or PREFIX + plugin))
    try:
        there = distribution(names.distribution)
    except PackageNotFoundError:
        pass
    else:
        raise ConfigError(
            f"a distribution {names.distribution!r} is installed already ({there.version}); choose another name, "
            "or give it a distribution of its own with --distribution"
        )
    _check_module(names.module, "give it another with --distribution")
    return names


def names_of_file(name: str, group: str) -> NewNames:
    """The names of a plugin in one file, which gives it its name. Raises `ConfigError` likewise."""
    plugin = _checked(name.removeprefix(PREFIX).removesuffix(".py").replace("_", "-"), "plugin", group)
    module = plugin.replace("-", "_")
    _check_module(module, "choose another name")
    return NewNames(module, module, module)


def _distribution(name: str) -> tuple[str, str]:
    most = LONGEST + len(PREFIX)
    if not _NAME.fullmatch(name) or len(name) > most:
        raise ConfigError(f"{value_in_words(name)} is no name of a distribution: {_better(name, most)}")
    return name, name.replace("-", "_")


def _checked(name: str, what: str, group: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(f"{value_in_words(name)} is no name of a {what}: {_better(name, LONGEST)}")
    owner = next(_owners(name, group), None)
    if owner is not None:
        raise ConfigError(
            f"there is a {'dialect' if group == DIALECT_GROUP else 'plugin'} {name!r} already, {owner}; "
            "choose another name: of two with one name nothing starts"
        )
    return name


def _owners(name: str, group: str) -> Iterator[str]:
    if name in TAKEN[group]:
        yield "Penstock's own"
    for point in entry_points(group=group, name=name):
        yield f"of {point.dist.name} {point.dist.version}" if point.dist is not None else f"of {point.value}"


def _better(name: str, most: int) -> str:
    """The rule, with the name that was probably meant where one is near."""
    meant = "-".join(re.findall("[a-z0-9]+", name.lower()))
    near = _NAME.fullmatch(meant) and len(meant) <= most and meant != name
    return f"write {RULE.replace(str(LONGEST), str(most))}" + (f", as {meant!r}" if near else "")


def _check_module(module: str, otherwise: str) -> None:
    if module in sys.stdlib_module_names or keyword.iskeyword(module):
        raise ConfigError(f"{module!r} is a word of Python's own, and the plugin's module would hide it; {otherwise}")
    if find_spec(module) is not None:
        raise ConfigError(f"there is a module {module!r} already, which the plugin's would hide; {otherwise}")
