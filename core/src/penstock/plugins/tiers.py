"""The tier of a plugin: how far its own tests have shown that it keeps the contract.

    loads    it is typed, is imported, and its hooks are hooks
    lawful   the contract suite of each hook that has one is passed, with the qualities that it declares
    proven   the scenarios of its kind are passed too; limiters have some

`penstock.testing.tier` works it out in a run of the tests and writes it into the `pyproject.toml` of the plugin, as an
entry point by the plugin's name, so that it is known from metadata, without an import:

    [project.entry-points."penstock.tier"]
    my-limiter = "lawful:0.1.0.sha2c26b46b68ff"

Behind the tier stand the version of the core that it was earned with and a digest of the plugin's source as it was
then. So it is seen when the code is newer than its tier; and a tier that nobody has earned is not to be written by
hand.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final, Literal, cast

import attrs

from penstock.plugins.source_hooks import find_source

__all__ = ["TIERS", "TIER_GROUP", "Tier", "TierName", "source_digest", "tier_in"]

TIER_GROUP: Final = "penstock.tier"

TierName = Literal["loads", "lawful", "proven"]
TIERS: Final[tuple[TierName, ...]] = ("loads", "lawful", "proven")

_WRITTEN: Final = re.compile(r"(loads|lawful|proven):([0-9][0-9A-Za-z_.]{0,60})\.sha([0-9a-f]{12})")


@attrs.frozen
class Tier:
    """A tier, with the version of the core that it was earned with, and the digest of the plugin's source then."""

    name: TierName
    core: str
    digest: str

    @property
    def written(self) -> str:
        """As the entry point has it."""
        return f"{self.name}:{self.core}.sha{self.digest}"

    def __str__(self) -> str:
        return f"{self.name} (core {self.core})"


def tier_in(value: str) -> Tier | None:
    """The tier that an entry point says; `None` if it says none.

    >>> print(tier_in("lawful:0.1.0.sha2c26b46b68ff"))
    lawful (core 0.1.0)
    >>> tier_in("perfect:0.1.0.sha2c26b46b68ff")
    """
    found = _WRITTEN.fullmatch(value)
    return None if found is None else Tier(cast(TierName, found[1]), found[2], found[3])


def source_digest(module: str) -> str | None:
    """A digest of the Python source of the distribution's package that `module` is in; nothing is imported. `None` if
    there is none to be read."""
    try:
        source = find_source(module.partition(".")[0])
    except ImportError:
        return None
    if source is None:
        return None
    files = sorted(source.parent.rglob("*.py")) if source.stem == "__init__" else [source]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(source.parent).as_posix()}\n".encode())
        digest.update(_text(file))
    return digest.hexdigest()[:12]


def _text(file: Path) -> bytes:
    """The same whatever ends lines there."""
    return file.read_bytes().replace(b"\r\n", b"\n")
