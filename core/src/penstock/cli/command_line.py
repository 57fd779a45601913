"""The options of the command line before a command's name. Without click, so that `import penstock` loads none."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["CommandLine"]


@attrs.frozen
class CommandLine:
    """The options before the command's name. `plugin_files` go to `open_scheduler(plugins=...)` as they are."""

    plugin_files: tuple[Path, ...] = ()
