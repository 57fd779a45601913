"""Tiers that were earned by other code than there is now: told to who works on the plugin."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import attrs

from penstock.cli.doctor.findings import Finding
from penstock.cli.doctor.installation import DistributionFacts
from penstock.cli.doctor.key_lines import line_of
from penstock.plugins.discovery import Installed
from penstock.plugins.tiers import TIER_GROUP, Tier, source_digest

__all__ = ["TierFacts", "look_at_tiers", "tier_findings"]


@attrs.frozen
class TierFacts:
    """The tier of an installed plugin, and the digest of its source as it is now; `None` if it cannot be read."""

    plugin: str
    distribution: str
    tier: Tier
    digest: str | None


def look_at_tiers(installed: Installed) -> list[TierFacts]:
    """The tiers of the plugins that have one, beside the source as it is now."""
    return [
        TierFacts(each.name, each.distribution, each.tier, source_digest(each.module))
        for each in installed.plugins.values()
        if each.tier is not None
    ]


def tier_findings(
    tiers: Iterable[TierFacts], found: Iterable[DistributionFacts], core: str | None
) -> Iterator[Finding]:
    """Tiers that were earned by other code than there is now. Told only of editable installs, to who works on the
    plugin; nobody else could mend it."""
    projects = {each.name: each.project for each in found if each.project is not None}
    for each in tiers:
        project = projects.get(each.distribution)
        if project is None:
            continue
        newer = []
        if core is not None and each.tier.core != core.partition("+")[0]:
            newer.append(f"the core has become {core}")
        if each.digest is not None and each.digest != each.tier.digest:
            newer.append("its own code has changed")
        if newer:
            earned = f"plugin {each.plugin!r} of {each.distribution} has earned {each.tier}"
            run = f"python -m pytest -p penstock.testing.tier --penstock-tier {shlex.quote(project.file)}"
            yield Finding(
                kind="tier",
                cause=f"{earned}, and since then {' and '.join(newer)}",
                mend=f"cd {shlex.quote(project.folder)} && {run}",
                file=project.file,
                line=line_of(project.text, ("project", "entry-points", TIER_GROUP, each.plugin)),
            )
