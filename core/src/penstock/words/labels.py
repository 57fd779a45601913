"""Labels: a few short words that a caller gives a task or a call, for rules, limiters and readers of events.

A tenant, a priority, an experiment: name to value, both text. They go from a task to its calls and into both event
streams. They are few and short, since each queued task and each event may have its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from penstock.words.checks import is_text, shown
from penstock.words.errors import ConfigError
from penstock.words.read_only import fixed

__all__ = ["LONGEST", "MOST", "Labels", "labels_in_words", "labels_of", "merged_labels", "words_of"]

MOST: Final = 8
"""How many labels a task or a call may have."""

LONGEST: Final = 64
"""Bytes of a name or a value, in UTF-8."""


class Labels(Mapping[str, str]):
    """The value of each name, checked and unchangeable; many tasks may share it. Raises `ConfigError` for what is too
    many, too long, or no text.

    >>> Labels({"tenant": "acme"})
    Labels({'tenant': 'acme'})
    """

    __slots__ = ("_words",)

    def __init__(self, given: Mapping[str, str]) -> None:
        if not isinstance(given, Mapping):
            raise ConfigError(f"labels must map names to values, such as {{'tenant': 'acme'}}, not {shown(given)}")
        self._words: dict[str, str] = fixed(dict(given))
        if len(self._words) > MOST:
            raise ConfigError(f"labels must be at most {MOST}, with those of the task, not {len(self._words)}")
        for name, value in self._words.items():
            if not _fits(name) or not name:
                raise ConfigError(f"labels must have names of 1 to {LONGEST} bytes of text; {shown(name)} is none")
            if not _fits(value):
                raise ConfigError(
                    f"labels must have values of at most {LONGEST} bytes of text; that of {name!r} is {shown(value)}"
                )

    def __getitem__(self, name: str) -> str:
        return self._words[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __repr__(self) -> str:
        return f"Labels({self._words!r})"


def _fits(word: object) -> bool:
    if not is_text(word):
        return False
    try:
        return len(word) <= LONGEST and len(word.encode()) <= LONGEST
    except UnicodeEncodeError:  # half a character, which no file and no metric could hold
        return False


def labels_in_words(labels: Mapping[str, str]) -> str:
    """Labels in a line for people.

    >>> labels_in_words({"tenant": "acme", "priority": "low"})
    'tenant=acme, priority=low'
    """
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def labels_of(given: Mapping[str, str] | None) -> Labels | None:
    """The labels that a caller gave, checked; `None` if there are none."""
    if given is None:
        return None
    labels = given if isinstance(given, Labels) else Labels(given)
    return labels or None


def words_of(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The same as a dictionary that cannot be changed: what events hold. Of `Labels` it is always the same one."""
    words: Mapping[str, str] = labels._words if type(labels) is Labels else fixed(dict(labels))
    return words


def merged_labels(of_the_task: Mapping[str, str] | None, given: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The labels of a call: those of its task, with what the call has of its own in their place or beside them."""
    own = labels_of(given)
    if own is None or of_the_task is None:
        return own or of_the_task
    return Labels({**of_the_task, **own})
