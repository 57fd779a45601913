"""A provider that repeats the gateway's key does not tell it to clients, however it cuts its answer."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from penstock_gateway.blotting import Blotter, blotted
from penstock_gateway.testing import PROVIDER_KEY, World, whole

LETTERS = st.text("ab", max_size=12).map(str.encode)
SECRETS = st.lists(st.text("ab", min_size=1, max_size=5).map(str.encode), min_size=1, max_size=3).map(
    lambda secrets: sorted(set(secrets), key=len, reverse=True)
)


@given(st.lists(LETTERS, max_size=6), SECRETS)
def test_no_secret_passes_wherever_data_is_cut(pieces: list[bytes], secrets: list[bytes]) -> None:
    blotter = Blotter(secrets)
    passed = b"".join([*map(blotter.feed, pieces), blotter.end()])
    assert len(passed) == len(b"".join(pieces))
    assert not any(secret in passed for secret in secrets)


@given(st.lists(LETTERS, max_size=6))
def test_one_secret_is_blotted_as_in_one_piece(pieces: list[bytes]) -> None:
    blotter = Blotter([b"abba"])
    assert b"".join([*map(blotter.feed, pieces), blotter.end()]) == blotted(b"".join(pieces), [b"abba"])


def test_what_cannot_begin_a_secret_is_not_kept() -> None:
    blotter = Blotter([b"swordfish"])
    assert blotter.feed(b"data: words\n\n") == b"data: words\n\n"
    assert blotter.feed(b"a swo") == b"a "
    assert blotter.feed(b"rd") == b""
    assert blotter.feed(b"fight") == b"swordfight"


@pytest.mark.loopback
async def test_a_key_that_is_repeated_goes_to_no_client(world: World) -> None:
    await world.begin(cap=1)
    client = await world.client()
    said = f'{{"error": {{"message": "no such key: {PROVIDER_KEY}"}}}}'.encode()
    for status in (b"403 Forbidden", b"200 OK"):
        world.provider.says(whole(said, status, b"x-seen: " + PROVIDER_KEY.encode()))
        _, headers, body = await client.ask()
        assert PROVIDER_KEY not in body.decode() + str(headers)
        assert b"no such key: ****" in body
