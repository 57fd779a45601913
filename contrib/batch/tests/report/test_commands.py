"""`penstock plan` and `penstock report` over runs of a real provider on loopback."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contrib.batch.tests.report.conftest import Document

from penstock import ConfigError
from penstock_batch.command import run_command
from penstock_batch.report.commands import plan_command, report_command, text_command
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import runs
from penstock_batch.store.store import Store

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder, Provider

pytestmark = pytest.mark.loopback

WRITER = "[providers.p.models.writer]\nmax_parallel_requests = 16"
EMBEDDER = "[providers.p.models.embedder]\nmax_parallel_requests = 16"
PRICED = (
    (WRITER, f"{WRITER}\nprice = {{ input = 1_000_000, output = 2_000_000 }}"),
    (EMBEDDER, f"{EMBEDDER}\nprice = {{ input = 1_000_000 }}"),
)
EVIL = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


def run(folder: Folder, *, limit: int | None = None) -> int:
    return run_command(folder.toml, limit=limit, overwrite=False, plugins=(), progress="none")


def planned(folder: Folder, capsys: pytest.CaptureFixture[str], rows: int = 10) -> list[str]:
    capsys.readouterr()
    assert plan_command(folder.toml, rows=rows) == 0
    return capsys.readouterr().out.splitlines()


def reported(folder: Folder, *, rows: int = 10) -> str:
    page = folder.path / "report.html"
    assert report_command(folder.toml, page, run=None, rows=rows) == 0
    return page.read_text(encoding="utf-8")


def test_a_plan_calls_nothing_and_says_what_it_does_not_know(
    served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write(*PRICED)
    before = provider.arrived("writer")
    said = planned(served, capsys)
    assert provider.arrived("writer") == before
    assert not served.store.exists()
    assert said[1].startswith("  summary: 30 calls to p/writer; ")
    assert "tokens out unknown (no answer is kept, and the step has no max_tokens)" in said[1]
    assert "with stand-ins for what steps before will say" in said[2]
    assert said[3] == "  length: 30 to be computed"
    assert said[4].startswith("cost: ")
    assert said[4].endswith("and what summary will cost, which is unknown")
    assert said[5].startswith("time: unknown")


def test_a_plan_goes_by_what_is_kept(served: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    served.write(*PRICED)
    assert run(served, limit=10) == 0
    said = planned(served, capsys)
    assert said[1].startswith("  summary: 20 calls to p/writer, 10 kept; ")
    assert "out by kept answers; " in said[1]
    assert said[2].startswith("  vector: 20 calls to p/embedder, 10 kept; ")
    assert said[3] == "  length: 20 to be computed, 10 kept"
    assert said[5].startswith("time: at least ")


@pytest.mark.parametrize(
    ("when", "said"),
    [("{{ id > 20 }}", "18 calls to p/writer, 21 empty; "), ("{{ summary == '' }}", "at most 60 calls to p/writer; ")],
)
def test_a_plan_counts_samples_and_the_rows_that_want_them(
    folder: Folder, capsys: pytest.CaptureFixture[str], when: str, said: str
) -> None:
    step = f'[[steps]]\nname = "title"\nkind = "chat"\nmodel = "p/writer"\nprompt = "?"\nsamples = 2\nwhen = "{when}"\n'
    folder.rows(30)
    folder.write(('[[steps]]\nname = "vector"', f'{step}[[steps]]\nname = "vector"'))
    assert any(line.startswith(f"  title: {said}") for line in planned(folder, capsys))


def test_of_a_run_that_is_done_a_plan_has_nothing_left(served: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    served.write(*PRICED)
    assert run(served) == 0
    assert planned(served, capsys)[1:] == [
        "  summary: nothing to be called, 30 kept",
        "  vector: nothing to be called, 30 kept",
        "  length: 0 to be computed, 30 kept",
        "cost: nothing",
        "time: none",
    ]


def test_a_report_is_for_its_owner_alone_and_replaces_only_a_report(served: Folder) -> None:
    served.write()
    assert run(served) == 0
    reported(served)
    reported(served)
    page = served.path / "report.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError):
        reported(served)
    assert page.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("what", ["toml", "output", "store"])
def test_a_report_takes_the_place_of_no_file_of_the_run(served: Folder, what: str) -> None:
    served.write()
    assert run(served) == 0
    place: Path = getattr(served, what)
    before = place.read_bytes()
    with pytest.raises(ConfigError):
        report_command(served.toml, place, run=None, rows=1)
    assert place.read_bytes() == before


def test_where_nothing_has_run_there_is_nothing_to_report(served: Folder) -> None:
    served.write()
    with pytest.raises(ConfigError, match="no run yet"):
        reported(served)


def test_a_run_that_does_not_exist_is_told_with_those_that_do(served: Folder) -> None:
    served.write()
    assert run(served) == 0
    with pytest.raises(ConfigError, match="no run 7; there are 1"):
        report_command(served.toml, served.path / "report.html", run=7, rows=1)


def test_a_killed_run_is_reported_while_another_has_the_store(served: Folder) -> None:
    served.write()
    assert run(served) == 0
    with Store(served.store) as store:  # as a run leaves it that is killed after its last row
        store.put("UPDATE runs SET ended = NULL", ())
        store.commit()
        served.output.unlink()
        text = reported(served)
    assert "has not ended: it goes on, or was killed" in text
    assert "Row 0 is about gate number 0." in text


def test_what_was_asked_is_left_out_where_it_has_changed(served: Folder) -> None:
    served.write()
    assert run(served) == 0
    assert "Summarise in one sentence" in reported(served)
    served.write(("Summarise in one sentence", "Say otherwise"))
    text = reported(served)
    assert "Say otherwise" not in text
    assert "left out: the input or the TOML has changed since it was asked" in text


def test_a_failed_call_is_shown_with_what_was_asked_and_why_it_failed(served: Folder) -> None:
    served.write(('model = "p/writer"', 'model = "p/broken"'), more="\n[batch]\ngive_up_failures = 100\n")
    served.rows(3)
    assert run(served) == 1
    text = reported(served)
    assert "Summarise in one sentence: Row 1 " in text
    assert text.count('<p class="failed">') == 3
    assert "not asked yet: summary comes first" in text


def test_the_figures_of_a_run_stand_in_the_browsers_document(
    served: Folder, provider: Provider, opened: Callable[[Path], Document]
) -> None:
    served.write(*PRICED)
    rows = [{"id": i, "text": f"Row {i} {EVIL}. More."} for i in range(29)]
    served.lines(*map(json.dumps, rows), "{")
    calls, answers = provider.arrived("writer"), provider.completed("writer")
    assert run(served) == 1
    calls, answers = provider.arrived("writer") - calls, provider.completed("writer") - answers
    reported(served)
    document = opened(served.path / "report.html")

    assert document.title == "Run 1 of pipeline.toml"
    assert set(document.drawn().values()) == {"yes"}
    heads, writer, _embedder = document.tables["models"]
    figures = dict(zip(heads, writer, strict=True))
    assert figures["calls"] == f"{calls:,}"
    assert figures["429s"] == f"{calls - answers:,}"
    facts = {row[0]: row[1] for row in document.tables["facts"]}
    assert (facts["rows"], facts["rows done"], facts["rows failed"]) == ("30", "29", "1")
    assert float(facts["cost"].replace(",", "")) > 0
    assert facts["cost"] == facts["cost of all runs"]
    assert not any(tag == "img" for tag, _ in document.attributes)
    assert EVIL in document.texts["rows"]


def test_a_page_tells_of_rows_that_cannot_be_read(served: Folder) -> None:
    served.lines('{"id": 1, "text": "a"}', "no JSON")
    served.write()
    assert run(served) == 1
    with StoreReader(served.store) as reader:
        (record,) = runs(reader.ask)
    assert record.failures == {"unreadable row": 1}


def test_a_report_says_what_limited_the_run_configured_and_seen_apart(
    served: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write(more="[batch]\nrow_group_size = 7\n")
    assert run(served) == 0
    document = Document()
    document.feed(reported(served))
    tables = document.tables
    configured = {what: (figure, who) for what, figure, who in tables["configured"][1:]}
    cap = f"{served.toml}: providers.p.models.writer.max_parallel_requests"
    assert configured["p/writer: calls at a time"] == ("16", cap)
    assert configured["rows read together"] == ("7", f"{served.toml}: batch.row_group_size")
    assert configured["rows in memory that can go on"] == (
        "1,000",
        "the default; batch.rows_in_flight changes it",
    )
    assert configured["threads of step length"] == ("40", "the default; workers of step length changes it")
    most: dict[str, str] = dict(tables["most"][1:])
    assert int(most["row groups in flight"]) >= 1
    assert 1 <= int(most["p/writer: calls in flight"]) <= 16

    capsys.readouterr()
    assert text_command(served.toml, run=None) == 0
    text = capsys.readouterr().out
    assert text.startswith("Run 1 of ")
    assert "p/writer: calls at a time" in text.partition("What was configured")[2].partition("The most at once")[0]
    assert "row groups in flight" in text.partition("The most at once")[2]
