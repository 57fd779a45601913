"""The options of the command line before a command's name. Without click, so that `import penstock` loads none."""

from __future__ import annotations

from pathlib import Path

import attrs

from penstock.plugins.barring import Without

__all__ = ["CommandLine"]


@attrs.frozen
class CommandLine:
    """The options before the command's name. `plugins` go to `open_scheduler(plugins=...)` as they are."""

    plugin_files: tuple[Path, ...] = ()
    """The files of `--plugin`."""
    left_out: tuple[str, ...] = ()
    """The names of `--no-plugin`."""

    @property
    def plugins(self) -> tuple[Path | Without, ...]:
        """What a run is to be opened with: the files, and the plugins that are left out."""
        return (*self.plugin_files, *map(Without, self.left_out))
