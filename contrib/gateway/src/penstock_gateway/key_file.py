"""The file of salted hashes: read strictly, and written whole or not at all, for its owner alone."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from os.path import lexists
from pathlib import Path
from typing import Final

import msgspec

from penstock import ConfigError, Problem
from penstock_gateway.keys import KEY_NAME, HashedKey, new_key

__all__ = ["add_key", "read_keys", "revoke_key"]

_HEX: Final = re.compile(r"[0-9a-f]+")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
LARGEST: Final = 16 * 1024 * 1024


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    salt: str
    sha256: str
    made: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Row]


def read_keys(path: Path) -> dict[str, HashedKey]:
    """The keys of a file by their names. Raises `ConfigError`, which names the file and tells nothing of a key."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise _wrong(path, f"has more than {LARGEST} bytes")
    try:
        rows = msgspec.json.decode(raw, type=_File).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = str(error) if isinstance(error, msgspec.ValidationError) else "it is no JSON"
        raise _wrong(path, f"is no file of keys, as `penstock keys new` makes it: {what}") from None
    found: dict[str, HashedKey] = {}
    for at, row in enumerate(rows):
        well = KEY_NAME.fullmatch(row.name) and _DAY.fullmatch(row.made)
        if not (well and _HEX.fullmatch(row.salt) and _HEX.fullmatch(row.sha256) and len(row.sha256) == 64):
            raise _wrong(path, f"is no file of keys, as `penstock keys new` makes it: keys[{at}] is none")
        if row.name in found:
            raise _wrong(path, f"holds the key {row.name!r} twice")
        found[row.name] = HashedKey(row.name, row.salt, row.sha256, row.made)
    return found


def add_key(path: Path, name: str, today: str) -> str:
    """A new key, which stands nowhere but in what is returned; its hash is in the file, which is made if it is not
    there. Raises `ConfigError`.
    """
    if not KEY_NAME.fullmatch(name):
        what = "must be made of letters, digits, '-' and '.', and have at most 64 of them"
        raise ConfigError(f"the name of a key {what}, not {name!r:.80}")
    keys = read_keys(path) if lexists(path) else {}
    if name in keys:
        raise ConfigError(f"{path} has a key {name!r} already; revoke it first, or choose another name")
    key, hashed = new_key(name, today)
    _write(path, {**keys, name: hashed})
    return key


def revoke_key(path: Path, name: str) -> None:
    """Take a key out of the file. Raises `ConfigError`."""
    keys = read_keys(path)
    if name not in keys:
        raise ConfigError(f"{path} has no key {name!r:.80}")
    del keys[name]
    _write(path, keys)


def _write(path: Path, keys: dict[str, HashedKey]) -> None:
    rows = [_Row(key.name, key.salt, key.digest, key.made) for key in keys.values()]
    raw = msgspec.json.format(msgspec.json.encode(_File(rows)), indent=1) + b"\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise _wrong(path, f"cannot be written: {error.strerror or error}") from None


def _wrong(path: Path, what: str) -> ConfigError:
    return ConfigError(Problem((), what, str(path)))
