"""The version of the contract between the core and its plugins, and whether a plugin goes with it. Pure.

A distribution says for which version it is written, in metadata, so that it is known before anything is imported:

    [project.entry-points."penstock.contract"]
    hooks = "1.1"

The first figure changes where something that plugins rely on is taken away or means something else, the second where
something is added. So a plugin goes with a core that has the same first figure, and the same second or a later one.
What says nothing is taken as it is.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CONTRACT", "CONTRACT_ENTRY", "CONTRACT_GROUP", "misfit", "needs_newer"]

CONTRACT: Final = "1.1"
"""The version of the contract that this core keeps. Every hook says since when it is there (`HOOKS`)."""

CONTRACT_GROUP: Final = "penstock.contract"
CONTRACT_ENTRY: Final = "hooks"

_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")


def misfit(written_for: str | None, distribution: str, contract: str = CONTRACT) -> str | None:
    """Why plugins that are written for this version do not go with a core that has `contract`; `None` if they do.

    >>> misfit("1.0", "their-rules", "1.2"), misfit(None, "their-rules")
    (None, None)
    >>> misfit("1.3", "their-rules", "1.2")
    'it is written for version 1.3 of the contract, and this core has 1.2; pip install --upgrade penstock-core'
    """
    if written_for is None:
        return None
    theirs, ours = _VERSION.fullmatch(written_for), _VERSION.fullmatch(contract)
    if theirs is None or ours is None:
        entry = f"{CONTRACT_ENTRY} in its entry points {CONTRACT_GROUP}"
        return f'{entry} must be a version of the contract, as in "{contract}", not {written_for!r}'
    newer = needs_newer(written_for, distribution, contract)
    if newer is None:
        return None
    both = f"it is written for version {written_for} of the contract, and this core has {contract}"
    return f"{both}; pip install --upgrade {newer}"


def needs_newer(written_for: str | None, distribution: str, contract: str = CONTRACT) -> str | None:
    """Of which distribution a newer release would go with the other: the plugins', or the core; `None` if they go
    together, or if no release is known to.

    >>> needs_newer("1.3", "their-rules", "1.2"), needs_newer("1.3", "their-rules", "2.0")
    ('penstock-core', 'their-rules')
    """
    theirs, ours = _VERSION.fullmatch(written_for or ""), _VERSION.fullmatch(contract)
    if theirs is None or ours is None:
        return None
    version, own = (int(theirs[1]), int(theirs[2])), (int(ours[1]), int(ours[2]))
    if version[0] == own[0] and version[1] <= own[1]:
        return None
    return distribution if version < own else "penstock-core"
