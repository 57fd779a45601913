"""Files that rows name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

PNG: Final = b"\x89PNG\r\n\x1a\n and what an image holds"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of files that rows name, with others beside it that they may not."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "cat.png").write_bytes(PNG)
    (folder / "deep" / "dog.jpg").write_bytes(b"\xff\xd8\xff and more")
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7 and more")
    (folder / "note.txt").write_text("Grüezi", encoding="utf-8")
    (tmp_path / "secret.png").write_bytes(PNG)
    return folder
