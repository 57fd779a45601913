"""A TOML file becomes plain tables; what is reported of a file that is none is tested with the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ConfigError, read_toml


def test_a_file_becomes_plain_tables_whether_named_by_path_or_text(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes('[t]\r\nname = "é"\r\n'.encode())

    assert read_toml(file) == read_toml(str(file)) == {"t": {"name": "é"}}


def test_a_file_that_cannot_be_used_is_named_as_the_caller_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml("no/such/file.toml")

    (record,) = caught.value.records
    assert (record.source, record.path) == ("no/such/file.toml", ())
