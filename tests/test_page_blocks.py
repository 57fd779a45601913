"""Every code block of every page does what it is there for, as it stands.

Python runs; files that a block names in its first line lie in one folder, and those of tests pass. TOML is what
`penstock check` takes. Of what is typed in a shell each command is there, with its options. What cannot run says so on
the line above it, in a comment that nobody sees who reads the page: `<!-- not run: why -->`.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs
import click
import pytest
from click.testing import CliRunner
from tests.pages import HOUSE, PAGES as ALL_PAGES, named

from penstock import load_config
from penstock.cli.main import cli
from penstock.plugins.contract import CONTRACT_GROUP
from penstock.plugins.discovery import COMMAND_GROUP, PLUGIN_GROUP

PAGES = [page for page in ALL_PAGES if page.name != "CHANGELOG.md"]
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n\n?)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\w+\.py)\n")
TELLING: Final = {"text", "yaml", "{eval-rst}"}
"""What shows what is said, or is drawn: nothing of it runs."""
LANGUAGES: Final = {"python", "toml", "json", "console"}
COMMANDS: Final = frozenset(
    [*("apt", "cd", "chmod", "curl", "export", "git", "gzip", "jq", "mkdir", "mypy"),
     *("pip", "printf", "promtool", "psql", "ruff", "source", "tox", "ulimit")]
)  # fmt: skip
"""What a shell has beside us."""
A_ROW: Final = '{"id": 1, "text": "a", "title": "b", "language": "en"}\n'
SURROUNDINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "contrib/batch/README.md": {"rows.csv": "text\na\n"},
    "docs/batch.md": {
        "tickets.csv": "text,Customer name\na,b\n",
        "routing.py": "def team(summary, vector): return 'a'\n",
    },
    "docs/batch/asking.md": {
        "letters.jsonl": A_ROW,
        "shelves.jsonl": '{"photo": "1.jpg", "list": "1.pdf"}\n',
        "photos/1.jpg": "",
        "prompts/clerk.txt": "Be kind.",
        "prompts/reply.txt": "Answer: {{ text }}",
    },
    "docs/batch/embedding.md": {"notes.jsonl": A_ROW},
    "docs/batch/formats.md": {
        "crm.db": "create table tickets (id, text); insert into tickets values (1, 'a')",
        "calls.jsonl": '{"custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": {"model": "large"}}\n',
    },
    "docs/batch/judging.md": {"tickets.jsonl": '{"id": 1, "text": "a"}\n'},
    "docs/batch/providers.md": {"tickets.jsonl": A_ROW},
    "docs/batch/stages.md": {"documents.jsonl": A_ROW},
    "docs/user-guide.md": {
        "rules.py": "from penstock import hookimpl\n@hookimpl\ndef penstock_task_eligible(): ...\n",
    },
}
"""What a page takes for granted beside it: files by their names. That of a database holds what makes it."""
BEFORE: Final[Mapping[str, str]] = {
    "docs/gateway.md": "keys new search",
    "docs/plugin-authors.md": "new limiter spaced --file",
}
"""What a page has had typed before: a command of `penstock`."""


@attrs.frozen
class Block:
    """A code block: the language that it names, what it holds, and what the comment above it says."""

    page: Path
    number: int
    language: str
    code: str
    mark: str = ""

    @property
    def not_run(self) -> bool:
        return self.mark.startswith("not run: ")

    @property
    def file(self) -> str | None:
        named = FILE.match(self.code)
        return named[1] if self.language == "python" and named is not None else None


def blocks_of(page: Path) -> list[Block]:
    return [
        Block(page, number, found["language"], found["code"], found["mark"] or "")
        for number, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def each(language: str, *, not_run: bool = False) -> pytest.MarkDecorator:
    """The blocks in a language, as parameters that name page and place; contrib's open sockets, and those of
    penstock-ray need Ray."""
    needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: `tox -e ray` runs this")
    return pytest.mark.parametrize(
        "block",
        [
            pytest.param(
                block,
                id=f"{named(block.page)}-{block.number}",
                marks=[
                    *([pytest.mark.loopback] if block.page.is_relative_to(HOUSE / "contrib") else []),
                    *([needs_ray] if block.page.is_relative_to(HOUSE / "plugins/ray") else []),
                ],
            )
            for block in BLOCKS
            if block.language == language and block.not_run is not_run
        ],
    )


@pytest.fixture
def furnished(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with what the block's page takes for granted, and with the files that its blocks are."""
    page: Path = request.getfixturevalue("block").page
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in SURROUNDINGS.get(named(page), {}).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".db"):
            with closing(sqlite3.connect(file)) as database:
                database.executescript(text)
        else:
            file.write_text(text, encoding="utf-8")
    for block in blocks_of(page):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.code, encoding="utf-8")
    for file in tmp_path.glob("*.py"):  # whatever another test has left under that name
        monkeypatch.delitem(sys.modules, file.stem, raising=False)
    importlib.invalidate_caches()
    yield tmp_path
    for name, module in tuple(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


# ------------------------------------------------------------------------------------------------------------ Python


@each("python")
def test_python_runs(block: Block, furnished: Path) -> None:
    if block.file is None:
        exec(compile(block.code, "example.py", "exec"), {"__name__": "__main__"})
    elif block.file.startswith("test_"):
        options = ["-q", "-p", "no:cacheprovider", "-o", "trio_mode=true"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, block.file],
            cwd=furnished,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        importlib.import_module(block.file.removesuffix(".py"))


def test_the_plugins_of_the_tutorials_are_typed_as_what_is_made_by_penstock_new(tmp_path: Path) -> None:
    files = []
    for block in (block for page in HOUSE.glob("docs/tutorials/*.md") for block in blocks_of(page)):
        if block.file is not None and not block.file.startswith("test_"):
            files.append(block.file)
            (tmp_path / block.file).write_text(block.code, encoding="utf-8")

    options = ["--strict", "--config-file=", "--cache-dir=.mypy_cache"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each("python", not_run=True)
def test_python_that_does_not_run_is_python(block: Block) -> None:
    compile(block.code, "example.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


# -------------------------------------------------------------------------------------------------------------- TOML


@each("toml")
def test_toml_is_what_the_program_takes_whose_file_it_is(
    block: Block, furnished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = tomllib.loads(block.code)
    if {"project", "tool"} & set(tables):
        assert set(tables.get("project", {}).get("entry-points", {})) <= {PLUGIN_GROUP, COMMAND_GROUP, CONTRACT_GROUP}
        return
    for name in re.findall(r'env = "(\w+)"', block.code):
        monkeypatch.setenv(name, f"{name}-0123456789-abcdefghij-klmnopqrst")
    furnished.joinpath("page.toml").write_text(block.code, encoding="utf-8")
    before = BEFORE.get(named(block.page), "--version").split()
    assert CliRunner().invoke(cli, before, prog_name="penstock").exit_code == 0
    made = [word for file in furnished.glob("spaced.py") for word in ("--plugin", str(file))]

    said = CliRunner().invoke(cli, [*made, "check", "page.toml"], prog_name="penstock")

    assert said.exit_code == 0, said.output


@each("toml", not_run=True)
def test_toml_that_is_a_part_of_a_file_has_tables_that_there_are(block: Block) -> None:
    load_config(tomllib.loads(block.code), foreign_tables=True)


# -------------------------------------------------------------------------------------------------------------- JSON


@each("json")
def test_json_is_json(block: Block) -> None:
    for line in block.code.splitlines():
        json.loads(line)


# ------------------------------------------------------------------------------------------------------------- shell


@each("console")
def test_what_is_typed_names_commands_and_options_that_there_are(block: Block) -> None:
    typed = [line.removeprefix("$ ") for line in block.code.splitlines() if line.startswith("$ ")]

    assert typed, "each line that is typed begins with `$ `"
    assert [wrong for line in typed for wrong in mistakes(line)] == []


def mistakes(line: str) -> Iterator[str]:
    """What in a line for a shell is not there."""
    words = shlex.split(line, comments=True)
    while words:
        end = next((at for at, word in enumerate(words) if word in ("|", "&&")), len(words))
        yield from _wrong_in(words[:end])
        words = words[end + 1 :]


def _wrong_in(command: list[str]) -> Iterator[str]:
    name, *rest = command
    if name == "penstock":
        yield from _unknown_to_penstock(rest)
    elif name == "python" and rest[:1] == ["-m"]:
        if rest[1] not in ("pip", "venv") and find_spec(rest[1]) is None:
            yield f"python -m {rest[1]}"
    elif name == "python":
        if not HOUSE.joinpath(rest[0]).exists():
            yield f"python {rest[0]}"
    elif name not in COMMANDS:
        yield name


def _unknown_to_penstock(words: list[str]) -> Iterator[str]:
    """The first word that the command line does not know: a command, or an option of it."""
    command: click.Command = cli
    context = click.Context(cli, info_name="penstock")
    words = words[: words.index(">")] if ">" in words else words
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            yield f"penstock {words[0]}"
            return
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    yield from (word for word in words if word.startswith("--") and word.partition("=")[0] not in known)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("penstock explain --json && cd folder", []),
        ("penstock explain --jsn", ["--jsn"]),
        ("penstock plugins lst", ["penstock lst"]),
        ("penstock doctor | jqq", ["jqq"]),
        ("python -m no_such_module", ["python -m no_such_module"]),
        ("python no/such/file.py", ["python no/such/file.py"]),
    ],
)
def test_what_is_not_there_is_found(line: str, wrong: list[str]) -> None:
    assert list(mistakes(line)) == wrong


# --------------------------------------------------------------------------------------------------------- all blocks


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_names_its_language_and_why_it_does_not_run_if_it_does_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = blocks_of(page)

    assert len(re.findall(r"^```", text, re.M)) == 2 * len(blocks)
    assert [block.number for block in blocks if block.language not in TELLING | LANGUAGES] == []
    assert [block.mark for block in blocks if block.mark.startswith("not run") and len(block.mark) < 20] == []


def test_the_surroundings_are_of_pages_that_there_are() -> None:
    assert {*SURROUNDINGS, *BEFORE} <= set(map(named, PAGES))
