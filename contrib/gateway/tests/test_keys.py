"""Keys: which are good enough, how one is known, and the file of their hashes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from penstock import ConfigError
from penstock_gateway import KeyRing
from penstock_gateway.key_file import add_key, read_keys, revoke_key
from penstock_gateway.keys import key_problem, new_key

KEY = "0123456789abcdefghijklmnopqrstuv"
TODAY = "2026-11-29"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (KEY, None),
        (KEY[:-1], "has 31 characters, and must have at least 32"),
        ("abcabcabc" * 4, "has 3 different characters, and must have at least 10"),
        (KEY + " ", "holds a character that no key has: a space, a line break, or none of ASCII"),
        (KEY + "\n", "holds a character that no key has: a space, a line break, or none of ASCII"),
        (KEY * 20, "has 640 characters, and must have at most 512"),
    ],
)
def test_a_key_must_be_hard_to_guess(key: str, problem: str | None) -> None:
    assert key_problem(key) == problem


def test_a_key_that_is_made_is_good_enough_and_known_again() -> None:
    key, hashed = new_key("team-a", TODAY)
    assert key_problem(key) is None
    assert key not in repr(hashed)
    ring = KeyRing({"other": KEY}, {"team-a": hashed})
    assert ring.find(key) == "team-a"
    assert ring.find(KEY) == "other"
    assert ring.names == {"team-a", "other"}


NO_KEYS = ["", "x", KEY[:-1], KEY + "x", "psk_", "psk_team-a", "psk_team-a_wrong", "é" * 40, "x" * 9999]


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_nobodys(key: str) -> None:
    _, hashed = new_key("team-a", TODAY)
    assert KeyRing({"other": KEY}, {"team-a": hashed}).find(key) is None


def test_the_file_holds_no_key_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "team-a", TODAY)
    add_key(path, "team-b", TODAY)
    assert key not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing({}, read_keys(path)).find(key) == "team-a"
    assert [*tmp_path.iterdir()] == [path]


def test_a_key_that_is_revoked_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "team-a", TODAY)
    revoke_key(path, "team-a")
    assert KeyRing({}, read_keys(path)).find(key) is None
    with pytest.raises(ConfigError, match="has no key 'team-a'"):
        revoke_key(path, "team-a")


@pytest.mark.parametrize("name", ["", "a_b", "ü", "-a", "a" * 65, "a/b"])
def test_a_key_has_a_name_that_can_stand_in_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="the name of a key must"):
        add_key(tmp_path / "keys.json", name, TODAY)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", "a", TODAY)
    with pytest.raises(ConfigError, match="has a key 'a' already"):
        add_key(tmp_path / "keys.json", "a", TODAY)


ROW = '{"name": "a", "salt": "00", "sha256": "' + "0" * 64 + '", "made": "2026-01-01"}'
NO_FILES = [
    "",
    "[]",
    '{"keys": [{}]}',
    f'{{"keys": [{ROW.replace("00", "xyz", 1)}]}}',
    f'{{"keys": [{ROW.replace("2026-01-01", "today")}]}}',
    f'{{"keys": [{ROW}], "more": 1}}',
    f'{{"keys": [{ROW}, {ROW}]}}',
]


@pytest.mark.parametrize("text", NO_FILES)
def test_a_file_that_is_no_file_of_keys_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"keys\.json: "):
        read_keys(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.json: cannot be read: No such file"):
        read_keys(tmp_path / "no.json")
