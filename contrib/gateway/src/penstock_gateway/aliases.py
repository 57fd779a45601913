"""Names for models of several providers, which are called wherever the turn of a call comes first. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from penstock import Problem, did_you_mean
from penstock_gateway.config import AliasConfig
from penstock_gateway.deployment import Deployment

__all__ = ["aliases_of"]

_NAME: Final = re.compile(r"[!-~]{1,128}")
"""It stands in headers, in metrics and in the log."""
OWNER: Final = "penstock"
"""Whose such a model is, for those who list models."""


def aliases_of(
    aliases: Mapping[str, AliasConfig], models: Mapping[str, Deployment]
) -> tuple[dict[str, Deployment], list[Problem]]:
    """The models that aliases make of those that are served, and what is wrong with them."""
    found: dict[str, Deployment] = {}
    problems: list[Problem] = []
    for name, alias in aliases.items():
        where = ("gateway", "models", name)
        if not _NAME.fullmatch(name):
            problems.append(Problem(where, "is no name for a model: 1 to 128 characters of ASCII, without spaces"))
        elif name in models:
            problems.append(Problem(where, f"is the name of {models[name].name} already; choose another"))
        unknown = [each for each in alias.to if each not in models]
        problems += [
            Problem((*where, "to"), f"names no model that is served: {each!r}; {did_you_mean(each, models)}")
            for each in unknown
        ]
        targets = [models[each] for each in alias.to if each in models]
        families = {each.family: each.name for each in targets}
        if len(families) > 1:
            both = " and ".join(f"{model} in that of {family}" for family, model in families.items())
            problems.append(Problem((*where, "to"), f"must name models of one dialect, and {both} are called"))
        if targets:
            places = dict.fromkeys(place for each in targets for place in each.places)
            found[name] = Deployment(name, OWNER, targets[0].family, tuple(places), alias=True)
    return found, problems
