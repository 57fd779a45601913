"""What was given before a command's name. Knows nothing of click, so that `import penstock` loads none."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["CommandLine"]


@attrs.frozen
class CommandLine:
    """What was given before the command's name. `plugin_files` go to `open_scheduler(plugins=...)` as they are."""

    plugin_files: tuple[Path, ...] = ()
