"""The kinds of plugins that `penstock new` makes: what each is, and how a configuration makes it take part."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from penstock.cli.new.names import DIALECT_GROUP
from penstock.plugins.discovery import PLUGIN_GROUP

__all__ = ["KINDS", "Kind"]


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of plugin.

    `summary`       what the plugin does that is made, in one line, after a colon
    `chosen`        the line of `[plugins]` in which a configuration names it; empty where a distribution is enough
    `keys`          an example of its table
    `hint`          what is to be known beside that to see it work
    `group`         of its entry point, and `target`, the object in its module
    `dependencies`  besides attrs and the core
    """

    summary: str
    chosen: str
    keys: str = ""
    hint: str = ""
    group: str = PLUGIN_GROUP
    target: str = "${cls}Plugin"
    dependencies: tuple[str, ...] = ()

    @property
    def fits_in_a_file(self) -> bool:
        """Whether it can be loaded from a file: what has hooks can."""
        return self.group == PLUGIN_GROUP


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "rule": Kind(
            summary="A rule for Penstock: of each group only so many tasks run at a time",
            chosen='task_policies = ["strict-fair", "$name"]',
            keys="at_once = 2",
        ),
        "policy": Kind(
            summary="A task policy for Penstock: a cap for every group, while others could use the place",
            chosen='task_policies = ["$name"]',
            keys="cap = 4",
        ),
        "limiter": Kind(
            summary="A request limiter for Penstock: a fixed time between one call and the next",
            chosen='request_limiters = ["cooldown", "$name"]',
            keys='scope = "provider_model"\nseconds = 0.5',
        ),
        "queue": Kind(
            summary="A ready queue for Penstock: tasks start in the order in which they came",
            chosen='ready_queue = "$name"',
        ),
        "waiters": Kind(
            summary="A queue of waiting calls for Penstock: calls go out in the order in which they came",
            chosen='request_waiters = "$name"',
        ),
        "sink": Kind(
            summary="A sink for Penstock: it counts the events of a run, and logs the counts at the end",
            chosen='sinks = ["$name"]',
            keys='kinds = ["request_rate_limited"]',
        ),
        "runner": Kind(
            summary="A task runner for Penstock: async functions in the scheduler's nursery, so many at a time",
            chosen='task_runners = ["$name"]',
            keys="workers = 2",
            hint='A task names it: `scheduler.start_soon(work, runner="$name")`.',
            dependencies=("trio>=0.30,<1",),
        ),
        "classifier": Kind(
            summary="A classifier for Penstock: answers with a certain status are rate limits",
            chosen='required = ["$name"]',
            keys="status = 420",
            dependencies=("msgspec>=0.19",),
        ),
        "dialect": Kind(
            summary="A dialect for Penstock: how a provider answers that speaks much like OpenAI",
            chosen="",
            hint='`penstock_dialects.find_dialect("$name")` has it, and `dialect_at(host)` at the hosts that it names.',
            group=DIALECT_GROUP,
            target="DIALECT",
            dependencies=("penstock-dialects>=0.1,<0.2",),
        ),
    }
)
