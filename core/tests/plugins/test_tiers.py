"""Tiers as metadata say them, and the digest by which newer code is seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from penstock.cli.main import cli
from penstock.plugins.tiers import Tier, source_digest, tier_in

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution

RULE = "raise RuntimeError('not to be imported')\n@hookimpl\ndef penstock_task_eligible(task): ...\n"


def test_the_listing_has_the_tier_from_metadata_and_imports_nothing(distribution: MakeDistribution) -> None:
    written = "proven:0.1.0rc1.sha0123456789ab"
    distribution("d", {"a_x.py": RULE}, plugins={"mine": "a_x", "other": "a_x"}, tiers={"mine": written})
    rows = json.loads(CliRunner().invoke(cli, ["plugins", "list", "--json"]).stdout)
    assert {row["name"]: row["tier"] for row in rows if row["distribution"] == "d"} == {
        "mine": "proven (core 0.1.0rc1)",
        "other": None,
    }
    assert "proven (core 0.1.0rc1)" in CliRunner().invoke(cli, ["plugins", "list"]).stdout


@pytest.mark.parametrize("value", ["lawful", "lawful:0.1.0", "best:0.1.0.sha0123456789ab", "lawful:.sha0123456789ab"])
def test_what_is_no_tier_says_none(value: str) -> None:
    assert tier_in(value) is None


def test_a_tier_is_read_as_it_was_written() -> None:
    tier = Tier("lawful", "0.1.0", "0123456789ab")
    assert tier_in(tier.written) == tier


def test_the_digest_is_that_of_the_package_whatever_ends_its_lines(distribution: MakeDistribution) -> None:
    for name, text in (("one", "a = 1\nb = 2\n"), ("two", "a = 1\r\nb = 2\r\n"), ("three", "a = 1\nb = 3\n")):
        distribution(name, {f"p_{name}/__init__.py": "", f"p_{name}/inner.py": text})
    one, two, three = (source_digest(f"p_{name}.inner") for name in ("one", "two", "three"))
    assert one == two != three
    assert source_digest("not_there_x") is None
