"""A page takes its place whole, and what a killed one has left is taken away: that, and nothing else."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from penstock_batch.report.page import MARK
from penstock_batch.report.writing import write_page

if TYPE_CHECKING:
    from pathlib import Path

PAGE = f"<!doctype html>{MARK}<p>whole".encode()


def left(folder: Path, name: str, content: bytes = PAGE) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", PAGE[:-3]], ids=["nothing yet", "half a page"])
def test_what_a_killed_report_has_left_is_taken_away_by_the_next(tmp_path: Path, content: bytes) -> None:
    left(tmp_path, ".report.html.penstock-report.x1.part", content)
    write_page(tmp_path / "report.html", PAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == PAGE
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600


def test_what_is_somebody_elses_stays(tmp_path: Path) -> None:
    foreign = left(tmp_path, ".report.html.penstock-report.x1.part", b"a diary")
    other_page = left(tmp_path, ".other.html.penstock-report.x1.part")
    aim = left(tmp_path, "aim")
    link = tmp_path / ".report.html.penstock-report.x2.part"
    link.symlink_to(aim)
    folder = tmp_path / ".report.html.penstock-report.x3.part"
    folder.mkdir()
    write_page(tmp_path / "report.html", PAGE)
    assert all(path.exists() for path in (foreign, other_page, aim, link, folder))


def test_a_page_that_another_one_is_writing_stays(tmp_path: Path) -> None:
    begun = left(tmp_path, ".report.html.penstock-report.x1.part", b"")
    with begun.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_page(tmp_path / "report.html", PAGE)
        assert begun.exists()
    write_page(tmp_path / "report.html", PAGE)
    assert not begun.exists()
