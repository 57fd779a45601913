"""A TOML file becomes plain tables; what is reported of a file that is none is tested with the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError, read_toml


def test_a_file_becomes_plain_tables_whether_named_by_path_or_text(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes('[t]\r\nname = "é"\r\n'.encode())

    assert read_toml(file) == read_toml(str(file)) == {"t": {"name": "é"}}


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf[t]\n")

    assert read_toml(file) == {"t": {}}


def test_a_file_that_cannot_be_used_is_named_as_the_caller_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml("no/such/file.toml")

    (record,) = caught.value.records
    assert (record.source, record.path) == ("no/such/file.toml", ())


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_a_name_that_no_file_can_have_is_a_wrong_configuration(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(name)


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "endless.toml"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)

    with pytest.raises(ConfigError, match="has more than 16777216 bytes"):
        read_toml(file)


def test_a_number_of_too_many_digits_is_a_wrong_configuration(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text(f"seed = {'9' * 5000}", encoding="utf-8")

    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(file)
