"""The bytes of requests: what a caller hands in is a header, or is refused without being shown."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from penstock_wire import RequestHead


def test_a_request_with_a_body_says_how_long_it_is() -> None:
    head = RequestHead("POST", "/v1/chat", "api.example:8080", [("Authorization", "Bearer key")])
    assert head.with_body(b"{}", [("x-try", "2")]) == (
        b"POST /v1/chat HTTP/1.1\r\nhost: api.example:8080\r\nAuthorization: Bearer key\r\nx-try: 2\r\n"
        b"content-length: 2\r\n\r\n{}"
    )


def test_a_request_without_one_says_so_where_a_body_is_usual() -> None:
    assert RequestHead("GET", "/", "h").with_body(b"") == b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
    assert RequestHead("POST", "/", "h").with_body(b"").endswith(b"content-length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nhost: evil"),
        ("x", "a\nb"),
        ("x", "a\x00"),
        ("x", " secret "),
        ("x", "schlüssel€"),
        ("x y", "a"),
        ("x:", "a"),
        ("", "a"),
        ("Content-Length", "1"),
        ("HOST", "h"),
        ("transfer-encoding", "chunked"),
    ],
)
def test_what_is_no_header_is_refused_and_its_value_not_shown(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header") as refused:
        RequestHead("POST", "/", "h", [(name, value)])
    assert value.strip() not in str(refused.value) or len(value.strip()) == 1


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        ("PO ST", "/", "h"),
        ("", "/", "h"),
        ("GET", "/a b", "h"),
        ("GET", "/ü", "h"),
        ("GET", "", "h"),
        ("GET", "/", "h\r\n"),
    ],
)
def test_what_is_no_request_line_is_refused(method: str, target: str, host: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is no"):
        RequestHead(method, target, host)


@given(st.text(), st.text())
def test_no_header_ever_adds_a_line_of_its_own(name: str, value: str) -> None:
    try:
        made = RequestHead("GET", "/", "h", [(name, value)]).with_body(b"")
    except ValueError:
        return
    assert made.count(b"\n") == 4
    assert made.count(b"\r") == 4


def test_headers_of_another_wire_pass_as_bytes() -> None:
    made = RequestHead("POST", "/x", "h").passing(
        b"{}", [(b"accept", b"*/*"), (b"x-name", b"caf\xe9"), (b"x-empty", b"")]
    )
    assert made == (
        b"POST /x HTTP/1.1\r\nhost: h\r\naccept: */*\r\nx-name: caf\xe9\r\nx-empty: \r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"x\r\nb: c"),
        (b"a: x\r\nb", b"c"),
        (b"a", b"x\n"),
        (b"a", b"\x00"),
        (b"a b", b"c"),
        (b"", b"c"),
        (b"A", b"c"),
        (b"host", b"elsewhere"),
        (b"content-length", b"3"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
    ],
)
def test_what_would_be_another_header_or_the_clients_own_does_not_pass(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="a header that is to be passed on"):
        RequestHead("POST", "/x", "h").passing(b"{}", [(b"accept", b"*/*"), header])
