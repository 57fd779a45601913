"""What was given on the command line before the command's name."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["CommandLine"]


@attrs.frozen
class CommandLine:
    """What was given before the command's name. `plugin_files` go to `open_scheduler(plugins=...)` as they are."""

    plugin_files: tuple[Path, ...] = ()
