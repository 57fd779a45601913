"""Environments of what is measured beside us: made once, and made anew if one was left half made."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError

import pytest

from penstock_bench.competitor.environment import CLOSEST, CompetitorUnavailable, cache_folder


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def install(folder: Path, log: Path, packages: tuple[str, ...]) -> None:
        folder.mkdir()
        made.append(folder)

    first = CLOSEST.python(tmp_path, lambda _: None, install)
    second = CLOSEST.python(tmp_path, lambda _: None, install)

    assert first == second
    assert first.is_relative_to(made[0])
    assert len(made) == 1


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    attempts: list[Path] = []

    def install(folder: Path, log: Path, packages: tuple[str, ...]) -> None:
        attempts.append(folder)
        folder.mkdir(exist_ok=True)
        if len(attempts) == 1:
            raise OSError("the disk is full")

    with pytest.raises(CompetitorUnavailable, match="the disk is full"):
        CLOSEST.python(tmp_path, lambda _: None, install)
    CLOSEST.python(tmp_path, lambda _: None, install)

    assert len(attempts) == 2


def test_what_pip_said_is_reported_in_one_line(tmp_path: Path) -> None:
    def install(folder: Path, log: Path, packages: tuple[str, ...]) -> None:
        log.write_text(
            "Collecting it\nERROR: No matching distribution found\n\n[notice] a new release of pip\n", encoding="utf-8"
        )
        raise CalledProcessError(1, ["pip"])

    with pytest.raises(CompetitorUnavailable) as raised:
        CLOSEST.python(tmp_path, lambda _: None, install)

    assert "could not be installed: ERROR: No matching distribution found" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_environments_are_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "penstock" / "bench"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "penstock" / "bench"
