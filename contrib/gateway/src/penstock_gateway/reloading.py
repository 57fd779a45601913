"""What may change of a gateway that runs, what needs a new start, and what has changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from os.path import realpath
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import Problem, ProviderConfig, Reconfiguration
from penstock_gateway.config import GatewayConfig
from penstock_gateway.loading import Serving

__all__ = ["Reloaded", "changes_of", "needs_a_new_start", "run_name"]

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_FIXED = ("host", "port", "admin", "log", "workers")
_CONNECTION = ("kind", "base_url", "api_key_env", "auth_header", "headers", "options")


def needs_a_new_start(before: Serving, after: Serving) -> list[Problem]:
    """What of another configuration cannot be had while the gateway runs: another address of its own, another log,
    other workers, and providers that are new or called otherwise. Keys, limits, models, timeouts and plugins may
    change.
    """
    problems = [
        Problem(("gateway", name), "cannot change while the gateway runs: start it anew")
        for name in _FIXED
        if _of(before.gateway, name) != _of(after.gateway, name)
    ]
    for name, provider in after.config.providers.items():
        known = before.config.providers.get(name)
        if known is None:
            problems.append(Problem(("providers", name), "is new: start the gateway anew"))
            continue
        problems += [
            Problem(("providers", name, part), "cannot change while the gateway runs: start it anew")
            for part in _CONNECTION
            if _of(known, part) != _of(provider, part)
        ]
    return [attrs.evolve(problem, source=after.config.source) for problem in problems]


def _of(record: GatewayConfig | ProviderConfig, name: str) -> object:
    return getattr(record, name)


def run_name(source: str) -> str:
    """What the run of a gateway is called that serves by a file: by that `penstock serve --reload` finds it."""
    path = realpath(source)
    stem = _NO_NAME.sub("-", Path(path).stem)[:32]
    return f"gateway-{stem}-{sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def changes_of(before: Serving, after: Serving) -> dict[str, dict[str, list[str]]]:
    """What two configurations of a gateway serve otherwise, by `keys`, `models` and `settings`: what was `added`,
    `removed` and `changed`, by name. That of a key is told, also where only the key itself is another.
    """
    keys = _difference(before.keys, after.keys)
    again = sorted(name for name in before.keys if name in after.keys and not before.ring.same(after.ring, name))
    if again:
        keys["changed"] = sorted({*keys.get("changed", ()), *again})
    settings = {
        name: attrs.asdict(each.gateway, recurse=False, filter=lambda field, _: field.name not in ("keys", "models"))
        for name, each in (("before", before), ("after", after))
    }
    found = {
        "keys": keys,
        "models": _difference(before.models, after.models),
        "settings": _difference(settings["before"], settings["after"]),
    }
    return {what: those for what, those in found.items() if those}


def _difference(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, list[str]]:
    found = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
    }
    return {how: names for how, names in found.items() if names}


@attrs.frozen
class Reloaded:
    """What has changed by a reload: at the gate, and of what is served, as `changes_of` has it."""

    gate: Reconfiguration
    served: Mapping[str, Mapping[str, list[str]]]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return {**self.gate.as_dict(), "served": {what: dict(those) for what, those in self.served.items()}}

    def __str__(self) -> str:
        lines = [
            f"{what} {how}: {', '.join(names)}" for what, those in self.served.items() for how, names in those.items()
        ]
        of_the_gate = str(self.gate)
        if of_the_gate != "nothing has changed" or not lines:
            lines.append(of_the_gate)
        return "\n".join(lines)
