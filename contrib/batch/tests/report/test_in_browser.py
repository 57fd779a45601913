"""The page in a real browser: its charts are drawn, its figures are there, and nothing foreign runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from contrib.batch.tests.report.conftest import Document

from penstock_batch.report.charts import charts, scripts
from penstock_batch.report.figures import figures_of
from penstock_batch.report.page import AnswerView, CellView, Chart, RowView, Table, page
from penstock_batch.store.samples import ModelSample, RunRecord, Sample, StepSample

pytestmark = pytest.mark.loopback

EVIL = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"><!--"


@pytest.fixture(scope="module")
def document(opened: Callable[[Path], Document], tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A page whose every foreign text is hostile, as a browser has it."""
    samples = [
        Sample(
            at=float(second),
            rows=20,
            rows_done=second,
            processor=0.5,
            limited_by=f"the limit of {EVIL}",
            models={EVIL: ModelSample(cap=8, limit=4, in_flight=3, calls=second, limited=second // 2, cost=0.5)},
            steps={EVIL: StepSample(waiting=3, done=second)},
        )
        for second in range(1, 21)
    ]
    row = RowView("line 7", "failed", EVIL, EVIL, [CellView(EVIL, EVIL, "", [AnswerView(EVIL, EVIL)], EVIL)])
    made = page(
        title="A run",
        state=EVIL,
        facts=[("cost", "1.25")],
        tables=[Table("models", "Models", ["model", "calls"], [[EVIL, "20"]])],
        charts=[
            Chart(name, title, spec)
            for name, (title, spec) in charts(figures_of(RunRecord(run=1, started=0.0), samples)).items()
        ],
        rows=[row, RowView("line 9", "done", None, "", [])],
        rows_word=EVIL,
        scripts=scripts(),
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(made)
    return opened(path)


def test_every_chart_is_drawn(document: Document) -> None:
    drawn = document.drawn()
    assert set(drawn.values()) == {"yes"}
    assert {"chart-pressure", "chart-refusals", "chart-money", "chart-limits", "chart-waiting"} <= drawn.keys()
    assert any(tag == "svg" for tag, _ in document.attributes)


def test_the_figures_stand_in_the_document(document: Document) -> None:
    assert document.tables["models"] == [["model", "calls"], [EVIL, "20"]]
    assert document.tables["facts"] == [["cost", "1.25"]]


def test_nothing_foreign_has_run(document: Document) -> None:
    assert document.title == "A run"
    assert document.texts["state"] == EVIL
    assert not any(tag == "img" for tag, _ in document.attributes)


def test_the_rows_can_be_browsed(document: Document) -> None:
    assert document.texts["shown"] == "2 of 2"
    rows = [given for tag, given in document.attributes if tag == "details"]
    assert [row["data-state"] for row in rows] == ["failed", "done"]


def test_no_chart_is_wider_than_the_page(document: Document) -> None:
    widths = [float(given["width"] or 0) for tag, given in document.attributes if tag == "svg" and "width" in given]
    assert len(widths) >= 5
    assert max(widths) <= 928  # names of models are as long as they are
