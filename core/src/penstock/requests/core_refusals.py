"""The refusals of the request gate itself that nothing ends: it is shut, a call comes too late, or nobody has
made a model known."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.config.words import probably_meant
from penstock.requests.deciding import CORE
from penstock.requests.items import RequestAdmissionItem
from penstock.words.verdicts import NEVER, Denied

__all__ = ["not_registered", "shut", "too_late"]


def shut() -> Denied:
    """The refusal of a gate that is shut."""
    return Denied("shutdown", {NEVER}, detail="no more calls go out", by=CORE)


def too_late(seconds: float) -> Denied:
    """The refusal of a call whose deadline passed so long ago."""
    return Denied("deadline", {NEVER}, detail=f"the deadline passed {seconds:.3f} s ago", by=CORE)


def not_registered(item: RequestAdmissionItem, names: Iterable[str]) -> Denied:
    """The refusal of a call to a model that is none of these, with what was probably meant or what to configure."""
    key = item.resource.provider_model
    table = f"[providers.{key.provider_name}.models.{_toml_key(key.model_id)}]"
    near = probably_meant(str(key), names)
    instead = ": add" if near is None else f"; did you mean {near!r}? If not, add"
    detail = f"{key} is not configured{instead} {table} with max_parallel_requests = ..."
    return Denied("never_fits", {NEVER}, detail=detail, by=CORE)


def _toml_key(name: str) -> str:
    bare = all(character.isascii() and (character.isalnum() or character in "-_") for character in name)
    return name if bare else f'"{name}"'
