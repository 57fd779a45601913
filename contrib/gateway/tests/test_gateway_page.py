"""The page names every key of the configuration, with its default."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

import penstock_gateway
from penstock_gateway import (
    AdminConfig,
    AliasConfig,
    GatewayConfig,
    KeyConfig,
    Refusal,
    admission,
    connection,
    door,
    exchange,
    front,
    request_parser,
    server,
    timing,
    wishes,
)

PAGE = Path(__file__).parents[3].joinpath("docs/gateway.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", [GatewayConfig, KeyConfig, AliasConfig, AdminConfig])
def test_the_page_names_every_key_with_its_default(table: type) -> None:
    for field in attrs.fields(table):
        if field.name in ("keys", "admin"):
            continue
        rows = [line for line in PAGE.splitlines() if f"`{field.name}`" in line]
        assert rows, field.name
        if isinstance(field.default, (int, float, str)):
            assert any(f"`{json.dumps(field.default)}`" in row for row in rows), field.name


def test_the_page_names_every_code_of_a_refusal() -> None:
    modules = (admission, connection, door, exchange, front, request_parser, server, timing, wishes)
    folder = Path(str(penstock_gateway.__file__)).parent  # the sources: a module's own file may be compiled
    names = [f"{module.__name__.rpartition('.')[2]}.py" for module in modules]
    sources = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    codes = {part.split('"')[1] for part in sources.split("Refusal(")[1:] if part[:3].isdigit()}
    assert len(codes) > 20
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []
    assert Refusal(400, "invalid_body", "").code in PAGE
