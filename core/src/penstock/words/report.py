"""The records of a run as a whole: at its start, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.words.given_up import GivenUpModel
from penstock.words.plugin_failures import PluginFailure
from penstock.words.read_only import fixed
from penstock.words.shadow import ShadowTally

__all__ = ["RunInfo", "RunReport"]


@attrs.frozen(kw_only=True)
class RunInfo:
    """A run that is about to start. `started_at` is a moment of the run's clock; `plugins` are the active
    ones, in order.
    """

    run_id: str
    started_at: float
    seed: int
    plugins: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RunReport:
    """A run that has ended.

    `not_done` says of each task that was not carried out why: `failed`, `dropped` (something that it needs failed, or
    its attempts or deadline ran out), `cancelled` or `shutdown`. It holds the first 1,000; `not_done_count` counts all.
    `leases` are the task gate's, `request_leases` the request gate's: issued and returned. `shadows` says what each
    plugin in shadow would have done, `plugin_failures` what plugins raised, and where; `given_up` names the models that
    were given up for a time, since their provider refused the account. `abandoned` says of each task whose code did not
    end why it was left behind; its lease counts as returned.
    """

    run_id: str
    started_at: float
    finished_at: float
    completed: int = 0
    failed: int = 0
    dropped: int = 0
    cancelled: int = 0
    not_done: Mapping[str, str] = attrs.field(factory=dict, converter=fixed)
    not_done_count: int = 0
    leases: tuple[int, int] = (0, 0)
    request_leases: tuple[int, int] = (0, 0)
    diagnostics: Mapping[str, Any] = attrs.field(factory=dict, converter=fixed)
    shadows: tuple[ShadowTally, ...] = ()
    plugin_failures: tuple[PluginFailure, ...] = ()
    abandoned: Mapping[str, str] = attrs.field(factory=dict, converter=fixed)
    given_up: tuple[GivenUpModel, ...] = ()
