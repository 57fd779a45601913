"""The pages of documentation: those that are on the site, by their paths in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["HOUSE", "PAGES", "named"]

HOUSE: Final = Path(__file__).parents[1]
PAGES: Final = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "*/*/README.md")
    for page in HOUSE.glob(pattern)
    if not page.relative_to(HOUSE).parts[0].startswith(".")
)


def named(page: Path) -> str:
    """A page as tests name it."""
    return page.relative_to(HOUSE).as_posix()
