"""A model that is served, as clients know it and as the gate does."""

from __future__ import annotations

import attrs

from penstock_gateway.routes import Family

__all__ = ["Deployment"]


@attrs.frozen
class Deployment:
    """A model that is served: `name` as clients call it; `places` are those at which it may be called, as the gate
    names them: its provider, or that one's endpoints, or those of all models that an alias names; `alias`: it is one.
    """

    name: str
    provider: str
    family: Family
    places: tuple[str, ...]
    alias: bool = False
