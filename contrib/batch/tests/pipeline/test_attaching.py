"""Images and files in a template: where they stand in the content of a message, and what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock import ConfigError
from penstock_batch.calls.asking import NotAsked, ask
from penstock_batch.pipeline.attaching import MOST_ATTACHED, MOST_TOGETHER, Attaching
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.pipeline.row_files import MOST_BYTES, RowFiles
from penstock_batch.pipeline.templates import PromptTemplate, RenderError, TemplateProblem
from penstock_batch.rows.lines import json_bytes

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

PROMPT = 'prompt = "Summarise in one sentence: {{ text }}"'


def content(photos: Path, source: str, **values: object) -> Any:
    return PromptTemplate(source).content(values, Attaching(RowFiles.below(photos)))


def kinds(photos: Path, source: str, **values: object) -> list[str]:
    """What the content consists of: its texts, and the types of its other parts."""
    return [part.get("text", part["type"]) for part in content(photos, source, **values)]


def test_a_text_is_parted_where_images_and_files_stand(photos: Path) -> None:
    source = "Compare {{ image(a) }}\nwith {{ image('https://a/b.png') }} {{ file('letter.pdf') }}."
    parts = content(photos, source, a="cat.png")
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "file", "text"]
    assert parts[0] == {"type": "text", "text": "Compare "}
    assert parts[1]["image_url"]["url"].startswith("data:image/png;blake2b=")
    assert parts[3] == {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    assert parts[4]["file"]["filename"] == "letter.pdf"


def test_a_template_without_any_says_a_text(photos: Path) -> None:
    assert content(photos, "{{ a }}", a="x") == "x"
    assert content(photos, "{% if false %}{{ image(a) }}{% endif %}{{ a }}", a="x") == "x"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{% for each in all %}{{ image(each) }}{% endfor %}", ["image_url", "image_url"]),
        ("{{ 'Look: ' ~ image(all[0]) }}", ["Look: ", "image_url"]),
        ("{% set a = image(all[0]) %}{{ a }} and {{ a }}", ["image_url", " and ", "image_url"]),
        ("{% macro show(x) %}<{{ image(x) }}>{% endmacro %}{{ show(all[0]) }}", ["<", "image_url", ">"]),
        ("{{ image(all[0])|upper }}", ["image_url"]),
    ],
)
def test_they_may_stand_wherever_a_text_may(photos: Path, source: str, found: list[str]) -> None:
    assert kinds(photos, source, all=["cat.png", "deep/dog.jpg"]) == found


def test_a_column_or_a_macro_of_that_name_is_another_thing(photos: Path) -> None:
    template = PromptTemplate("{{ image }}{{ image(image) }}")
    assert template.variables == {"image"}
    assert kinds(photos, "{{ image }}{{ image(image) }}", image="cat.png") == ["cat.png", "image_url"]
    own = "{% macro image(x) %}<{{ x }}>{% endmacro %}{{ image(file) }}"
    assert content(photos, own, file="x") == "<x>"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ image(missing) }}", "'missing' is undefined"),
        ("{{ image(number) }}", r"image\(\) is given no path or URL: 3"),
        ("{{ file(none) }}", r"file\(\) is given no path: None"),
        ("{{ image('nothing.png') }}", "^'nothing.png' is not there"),
        ("{{ image('cat.png')|urlencode }}", "a filter changed it"),
        ("{{ image('cat.png')|truncate(5) }}", "a filter changed it"),
        ("{% set a = image('cat.png') %}", "are to be printed"),
        ("{% for n in range(101) %}{{ image('cat.png') }}{% endfor %}", "more than 100 images and files"),
    ],
)
def test_what_goes_wrong_is_the_rows_error(photos: Path, source: str, complaint: str) -> None:
    assert MOST_ATTACHED == 100
    with pytest.raises(RenderError, match=complaint):
        content(photos, source, number=3)


def test_the_files_of_one_call_are_bounded_together(photos: Path) -> None:
    with (photos / "large.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(MOST_BYTES)
    most = MOST_TOGETHER // MOST_BYTES
    attaching = Attaching(RowFiles.below(photos))
    for _ in range(most):
        attaching.attach("image", "large.png")
    with pytest.raises(ValueError, match="more than 50 MiB together"):
        attaching.attach("image", "large.png")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("\n{{ image() }}", r"line 2: image\(\) takes one path or URL"),
        ("{{ file(a, b) }}", r"file\(\) takes one path"),
        ("{{ image(path=a) }}", r"image\(\) takes one path"),
        ("{% call image(a) %}x{% endcall %}", "is no macro"),
    ],
)
def test_what_no_row_could_fill_in_is_refused_when_it_is_compiled(source: str, complaint: str) -> None:
    with pytest.raises(TemplateProblem, match=complaint):
        PromptTemplate(source)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            PROMPT,
            f'{PROMPT}\nsystem = "{{{{ image(text) }}}}"',
            "summary.system: calls image, which only messages",
        ),
        ('input = "{{ summary }}"', 'input = "{{ file(summary) }}"', "vector.input: calls file, which only messages"),
        (PROMPT, f'{PROMPT}\nwhen = "{{{{ image(text) }}}}"', "summary.when: calls image, which only messages"),
        ("[requests]", '[batch]\nfiles = "nowhere"\n[requests]', "batch.files: is no folder"),
    ],
)
def test_what_has_no_place_for_them_is_refused(folder: Folder, old: str, new: str, complaint: str) -> None:
    folder.write((old, new))
    with pytest.raises(ConfigError) as caught:
        load_pipeline(folder.toml)
    (problem,) = caught.value.problems
    assert complaint in problem


def test_a_call_is_known_by_the_contents_of_its_files_and_does_not_hold_them(folder: Folder, photos: Path) -> None:
    (photos / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 1_000_000)
    folder.write((PROMPT, "prompt = \"{{ image('photos/cat.png') }} {{ text }}\""))
    step = load_pipeline(folder.toml).steps[0]
    values = {"text": "x"}
    first = ask(step, values, values)
    assert first == ask(step, values, values)
    assert len(json_bytes(first.body)) < 500
    assert len(json_bytes(first.whole())) > 1_000_000
    assert first.input_tokens(json_bytes(first.body)) < 5_000
    (photos / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"y" * 1_000_000)
    assert ask(step, values, values).base != first.base
    with pytest.raises(NotAsked, match="has changed"):
        first.whole()


def test_the_files_of_rows_lie_where_the_pipeline_says(folder: Folder, photos: Path) -> None:
    values = {"text": "cat.png"}
    image = (PROMPT, 'prompt = "{{ image(text) }}"')
    folder.write(image)
    with pytest.raises(NotAsked, match="is not there"):
        ask(load_pipeline(folder.toml).steps[0], values, values)
    folder.write(image, ("[requests]", '[batch]\nfiles = "photos"\n[requests]'))
    step = load_pipeline(folder.toml).steps[0]
    assert ask(step, values, values).attached
    with pytest.raises(NotAsked, match="does not lie below"):
        ask(step, {"text": "../secret.png"}, values)
