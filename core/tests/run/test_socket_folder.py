"""Sockets lie only in a folder that is this user's alone, and nothing of anybody else's is touched there."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from penstock.run.socket_folder import LONGEST_FOLDER, UnsafeFolder, possible_folders, run_folder, socket_folder

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no local sockets here")
SOCKET = "0123456789abcdef.sock"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of one's own with a short name, as the paths of sockets must be."""
    tmp_path_factory.getbasetemp()  # which is made in the temporary folder when it is first asked for
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        yield Path(short)


@pytest.fixture
def elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder's, where there is no runtime folder."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place / f"penstock-{os.geteuid()}"


def dead_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UnsafeFolder) as refused, socket_folder(path):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_folder_is_made_for_its_user_alone(elsewhere: Path) -> None:
    with run_folder() as folder:
        assert folder.path == elsewhere
        assert elsewhere.stat().st_mode & 0o777 == 0o700
    with run_folder() as folder:
        assert folder.path == elsewhere


def test_a_link_to_a_folder_is_refused_even_to_one_of_ones_own(elsewhere: Path, place: Path) -> None:
    target = place / "target"
    target.mkdir(mode=0o700)
    elsewhere.symlink_to(target)
    assert f"{elsewhere} is a symbolic link, which is not followed" in refusal(elsewhere)
    with pytest.raises(UnsafeFolder, match="symbolic link"), run_folder():
        pass


def test_a_link_to_nowhere_is_refused(elsewhere: Path, place: Path) -> None:
    elsewhere.symlink_to(place / "nowhere")
    with pytest.raises(UnsafeFolder, match="symbolic link"), run_folder():
        pass
    assert not (place / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o740])
def test_a_folder_that_others_may_enter_or_read_is_refused(elsewhere: Path, mode: int) -> None:
    elsewhere.mkdir()
    elsewhere.chmod(mode)
    assert f"can be entered by others (mode {mode:o})" in refusal(elsewhere)


def test_somebody_elses_folder_is_refused(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere.mkdir(mode=0o700)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    os.chmod(elsewhere.parent, 0o1777)
    assert f"belongs to another user (uid {owner}); set XDG_RUNTIME_DIR" in refusal(elsewhere)


def test_a_file_in_its_place_is_refused(elsewhere: Path) -> None:
    elsewhere.touch()
    assert "is no folder" in refusal(elsewhere)


def test_a_folder_that_others_could_exchange_is_refused(elsewhere: Path, place: Path) -> None:
    elsewhere.mkdir(mode=0o700)
    place.chmod(0o777)
    assert f"others may rename what lies in {place}" in refusal(elsewhere)
    place.chmod(0o1777)
    with socket_folder(elsewhere):
        pass


def test_only_sockets_of_ones_own_are_listed_and_removed(elsewhere: Path, place: Path) -> None:
    elsewhere.mkdir(mode=0o700)
    foreign = dead_socket(place / "other.sock")
    (elsewhere / "fedcba9876543210.sock").symlink_to(foreign)
    (elsewhere / SOCKET.replace("0", "1")).touch()
    dead_socket(elsewhere / "other.sock")
    dead_socket(elsewhere / SOCKET)
    with socket_folder(elsewhere) as folder:
        assert folder.sockets() == [SOCKET]
        for name in os.listdir(elsewhere):
            if name != "other.sock":
                folder.remove(name)
    assert foreign.exists()
    assert not (elsewhere / SOCKET).exists()
    assert len(os.listdir(elsewhere)) == 3


def test_what_is_put_in_the_folders_place_meanwhile_is_not_touched(elsewhere: Path, place: Path) -> None:
    elsewhere.mkdir(mode=0o700)
    other = place / "other"
    other.mkdir(mode=0o700)
    dead_socket(other / SOCKET)
    dead_socket(elsewhere / SOCKET)
    with socket_folder(elsewhere) as folder:
        elsewhere.rename(place / "moved")
        elsewhere.symlink_to(other)
        folder.remove(SOCKET)
    assert (other / SOCKET).exists()
    assert not (place / "moved" / SOCKET).exists()


def test_the_runtime_folder_is_preferred_where_it_is_private(
    elsewhere: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = place / "runtime"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert possible_folders() == [elsewhere], "it is not there"
    runtime.mkdir(mode=0o700)
    assert possible_folders() == [runtime / "penstock", elsewhere]
    runtime.chmod(0o755)
    assert possible_folders() == [elsewhere], "others may enter it"
    runtime.rename(place / "real")
    (place / "real").chmod(0o700)
    runtime.symlink_to(place / "real")
    assert possible_folders() == [elsewhere], "it is a link"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert possible_folders() == [elsewhere]


def test_a_folder_with_a_path_too_long_for_sockets_is_not_used(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * LONGEST_FOLDER)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert possible_folders() == [place / f"penstock-{os.geteuid()}"]
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert possible_folders() == [Path("/tmp", f"penstock-{os.geteuid()}")]
