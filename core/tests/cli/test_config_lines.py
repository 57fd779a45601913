"""What `penstock plugins show` says of a plugin's keys."""

from __future__ import annotations

from typing import Annotated

import attrs

from penstock.cli.config_lines import config_lines


@attrs.frozen
class Rates:
    minute: int = 60
    """In a minute."""


@attrs.frozen
class Place:
    name: str
    beside: list[Place] = attrs.field(factory=list)


@attrs.frozen
class Config:
    """What can be set.

    `rates`  so many
    """

    rates: Rates | None = None
    places: tuple[Place, ...] = ()
    named: dict[str, Annotated[Rates, "each"]] = attrs.field(factory=dict)
    left: int = attrs.field(default=0, init=False)


def test_keys_of_records_inside_stand_under_their_path_and_each_key_has_its_help_below_it() -> None:
    assert list(config_lines(Config)) == [
        "  KEY                TYPE                     DEFAULT",
        "  rates              a table                  (none)",
        "      so many",
        "  rates.minute       a whole number           60",
        "      In a minute.",
        "  places             a list (each: a table)   []",
        "  places[].name      text                     (required)",
        "  places[].beside    a list (each: a table)   []",
        "  named              a table (each: a table)  {}",
        "  named.NAME.minute  a whole number           60",
        "      In a minute.",
    ]


def test_long_help_is_broken_into_lines_and_does_not_command_the_terminal() -> None:
    @attrs.frozen
    class Wordy:
        key: int = attrs.field(default=1, metadata={"help": "word " * 30 + "\x1b[2J"})

    *_, first, second = config_lines(Wordy)
    assert len(first) <= 100
    assert first.startswith("      word")
    assert second.endswith(r"\x1b[2J")


def test_a_plugin_without_a_table_or_without_a_key_says_so() -> None:
    assert list(config_lines(None)) == ["  none"]
    assert list(config_lines(attrs.make_class("Empty", {}))) == ["  no keys"]
