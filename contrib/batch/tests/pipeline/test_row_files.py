"""Which files a row may name, and what is wrong with the others."""

from __future__ import annotations

import os
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from penstock_batch.pipeline.beside import FileProblem
from penstock_batch.pipeline.row_files import MOST_BYTES, FileUrl, RowFiles, with_contents


@pytest.fixture
def files(photos: Path) -> RowFiles:
    return RowFiles.below(photos)


@pytest.mark.parametrize(
    ("name", "media"),
    [("cat.png", "image/png"), ("deep/dog.jpg", "image/jpeg"), ("./deep/../cat.png", "image/png")],
)
def test_an_image_is_known_by_its_contents(files: RowFiles, name: str, media: str) -> None:
    url = files.image(name)
    assert isinstance(url, FileUrl)
    assert url.media == media
    assert url.startswith(f"data:{media};blake2b=")
    kind, _, contents = with_contents({"url": [url]})["url"][0].partition(";base64,")
    assert kind == f"data:{media}"
    assert b64decode(contents) == files.folder.joinpath(name).read_bytes()


@pytest.mark.parametrize(
    ("contents", "media"),
    [
        (b"GIF89a and more", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"<svg/>", None),
        (b"\x89PN", None),
    ],
)
def test_what_is_no_image_is_sent_by_no_name(files: RowFiles, contents: bytes, media: str | None) -> None:
    (files.folder / "x.png").write_bytes(contents)
    if media is None:
        with pytest.raises(FileProblem, match=r"'x\.png' is no image of a known kind"):
            files.image("x.png")
    else:
        assert files.image("x.png").startswith(f"data:{media};")


def test_a_document_is_a_pdf_or_a_text(files: RowFiles) -> None:
    assert files.file("letter.pdf").media == "application/pdf"
    assert files.file("note.txt").media == "text/plain"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing.png", "'nothing.png' is not there"),
        ("../secret.png", "does not lie below"),
        ("deep/../../secret.png", "does not lie below"),
        ("/etc/hostname", "does not lie below"),
        ("", "is no path"),
        ("a\0b", "is no path"),
        ("\ud800", "is no path"),
        ("deep", "is no ordinary file"),
        ("cat.png/x", "cannot be read: Not a directory"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("ftp://a/cat.png", "is a URL that cannot be passed on"),
        ("file:///etc/hostname", "is a URL that cannot be passed on"),
        ("https://a/b c", "is a URL that cannot be passed on"),
        ("data:text/plain;base64,aaaa", "is no data: URL of an image"),
    ],
)
def test_what_cannot_be_an_image_says_why(files: RowFiles, name: str, complaint: str) -> None:
    with pytest.raises(FileProblem, match=complaint) as caught:
        files.image(name)
    assert len(str(caught.value)) < 6000


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("cat.png", "is an image; put it in by image"),
        ("https://a/b.pdf", "is a URL, and file"),
        ("binary.txt", "is of no known kind"),
        ("code.py", "is of no known kind"),
        ("empty.txt", "is empty"),
    ],
)
def test_what_cannot_be_a_document_says_why(files: RowFiles, name: str, complaint: str) -> None:
    (files.folder / "binary.txt").write_bytes(b"\xff\xfe")
    (files.folder / "code.py").write_text("1", encoding="utf-8")
    (files.folder / "empty.txt").touch()
    with pytest.raises(FileProblem, match=complaint):
        files.file(name)


@pytest.mark.parametrize("url", ["https://a.example/b.png?c=d", "http://a/", "data:image/png;base64,iVBORw0KGgo="])
def test_a_url_of_an_image_is_passed_on(files: RowFiles, url: str) -> None:
    assert files.image(url) == url


def test_nothing_hidden_is_sent(files: RowFiles) -> None:
    hidden = files.folder / ".cache"
    hidden.mkdir()
    (hidden / "x.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FileProblem, match="is hidden"):
        files.file(".cache/x.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_is_followed_within_the_folder_and_not_out_of_it(files: RowFiles) -> None:
    (files.folder / "inside.png").symlink_to("cat.png")
    (files.folder / "outside.png").symlink_to("../secret.png")
    (files.folder / "up").symlink_to("..")
    (files.folder / "round.png").symlink_to("round.png")
    assert files.image("inside.png") == files.image("cat.png")
    for name in ("outside.png", "up/secret.png"):
        with pytest.raises(FileProblem, match="does not lie below"):
            files.image(name)
    with pytest.raises(FileProblem, match="cannot be read"):
        files.image("round.png")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_a_pipe_holds_nothing_up(files: RowFiles) -> None:
    os.mkfifo(files.folder / "pipe.png")
    with pytest.raises(FileProblem, match="is no ordinary file"):
        files.image("pipe.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_folder_that_is_reached_by_a_link_is_where_it_leads(files: RowFiles, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(files.folder)
    assert RowFiles.below(tmp_path / "link") == files


def test_a_file_that_is_too_large_is_not_read(files: RowFiles) -> None:
    with (files.folder / "large.png").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(FileProblem, match="has more than 20 MiB"):
        files.image("large.png")


def test_contents_that_have_changed_are_not_sent(files: RowFiles) -> None:
    url = files.image("cat.png")
    (files.folder / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n another")
    assert files.image("cat.png") != url
    with pytest.raises(FileProblem, match=r"'cat\.png' has changed"):
        with_contents({"url": url})
