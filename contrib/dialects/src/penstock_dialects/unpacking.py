"""Bodies unpacked piece by piece, and never beyond a bound: a megabyte of gzip can be a gigabyte of text.

gzip and deflate are unpacked here. For br and zstd the client brings a decoder (any that has `decompress(bytes)`);
without one such a body passes by unread, and the answer is judged by its status and headers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Final, Protocol

__all__ = ["Decoder", "Memory", "TooLarge", "Unpacker", "unpacker"]

MIB: Final = 1024 * 1024
STEP: Final = 256 * 1024
"""Bytes that are unpacked at once."""
SLICE: Final = 1024
"""Bytes that are given to a client's decoder at once, which bounds nothing itself."""
LINE: Final = 64
"""Bytes that cost as much to read as a line that is empty, or an empty object or list."""
COSTLY: Final = b"\n\r[{"
PACKED: Final = 16 * 1024
"""Bytes of gzip that are taken at once: a member of it may be twenty bytes that unpack to nothing, and each is found by
copying what follows it."""
_PARTS: Final = b"{[:"
_GZIP: Final = b"\x1f\x8b"
_AUTO_DETECT: Final = zlib.MAX_WBITS | 32


class Decoder(Protocol):
    """What unpacks br or zstd."""

    def decompress(self, data: bytes, /) -> bytes:
        """The next piece, unpacked."""
        ...


class TooLarge(Exception):
    """An answer is larger than it may be, or all answers together are."""


class Memory:
    """The bytes that all answers under way may have unpacked, together (`total`) and each (`per_call`).

    `per_value`  bytes of one JSON text at most: an event, a line, or the whole
    `parts`      objects, lists and members of one JSON text at most: each is made in the time of a hundred bytes
    `growth`     bytes, at most, that one byte of a packed answer may unpack to, beyond the first MiB; each line,
                 object and list counts for `LINE` bytes more, which is what it costs to be read

    Where others wait while an answer is read, these two bound the work that one read from a socket makes. What an
    answer took is given back when its reader is closed.
    """

    def __init__(
        self,
        *,
        per_call: int = 64 * MIB,
        total: int = 512 * MIB,
        per_value: int | None = None,
        parts: int | None = None,
        growth: int | None = None,
    ) -> None:
        self.per_call = per_call
        self.total = total
        self.per_value = per_call if per_value is None else per_value
        self.parts = self.per_value if parts is None else parts
        self.growth = growth
        self.taken = 0
        self._lock = Lock()  # answers are read in the threads in which their bodies are

    def take(self, count: int, had: int) -> None:
        """Count bytes of an answer that `had` so many before. Raises `TooLarge`, and then nothing is counted."""
        if had + count > self.per_call:
            raise TooLarge(f"the answer is larger than {self.per_call:,} bytes")
        with self._lock:
            if self.taken + count > self.total:
                raise TooLarge(f"the answers under way are larger than {self.total:,} bytes together")
            self.taken += count

    def grow(self, work: int, came: int) -> None:
        """Look at how much an answer has unpacked to, of so many bytes that came. Raises `TooLarge`."""
        if self.growth is not None and work > MIB + self.growth * came:
            raise TooLarge(f"the answer unpacks to more than {self.growth} times what came of it")

    def hold(self, held: int, *, skimmed: bool) -> None:
        """Look at the bytes of a JSON text whose end has not come, and whether one before it had too many parts. Raises
        `TooLarge`.
        """
        if skimmed:
            raise TooLarge(self.too_many)
        if held > self.per_value:
            raise TooLarge(f"the answer has a value that is larger than {self.per_value:,} bytes")

    def many(self, text: bytes, signs: bytes = _PARTS) -> bool:
        """Whether a JSON text may have more parts than it may, by the signs that begin them."""
        return len(text) > self.parts and len(text) - len(text.translate(None, signs)) > self.parts

    @property
    def too_many(self) -> str:
        """What is said of an answer with too many parts."""
        return f"the answer has a value of more than {self.parts:,} parts"

    def give_back(self, count: int) -> None:
        """What an answer had taken."""
        with self._lock:
            self.taken -= count
            if self.taken < 0:
                raise AssertionError(f"{-self.taken} bytes were given back that nobody had taken")


class Unpacker:
    """One body, unpacked. `readable` is false where nobody can read its encoding, or it breaks the rules of it."""

    def __init__(self, encoding: str, decoders: Mapping[str, Callable[[], Decoder]]) -> None:
        packed = (part.strip().lower() for part in encoding.split(","))
        self.encoding = ", ".join(part for part in packed if part not in ("", "identity"))
        self.readable = True
        self._zlib: zlib._Decompress | None = None
        self._packed = self.encoding in ("gzip", "x-gzip", "deflate")
        self._head: bytes | None = b""
        self._between = b""
        self._decoder: Decoder | None = None
        if self._packed:
            self._zlib = zlib.decompressobj(_AUTO_DETECT)
        elif self.encoding in decoders:
            try:
                self._decoder = decoders[self.encoding]()
            except Exception:  # it is the client's, and may raise what it likes
                self.readable = False
        elif self.encoding:
            self.readable = False

    def feed(self, piece: bytes) -> Iterable[bytes]:
        """The text of the next piece, in parts that are not large; to be taken before the next is fed."""
        return self._parts(piece) if self.encoding else (piece,)

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        if not self.readable:
            return
        if self._packed:
            for at in range(0, len(piece), PACKED):
                yield from self._inflate(piece[at : at + PACKED])
        else:
            assert self._decoder is not None
            for at in range(0, len(piece), SLICE):
                part: object
                try:
                    part = self._decoder.decompress(piece[at : at + SLICE])
                except Exception:
                    part = None
                if not isinstance(part, bytes | bytearray):
                    self.readable = False
                    return
                yield bytes(part)

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        rest = self._between + piece
        self._between = b""
        while rest:
            if self._zlib is None:  # another member may follow, as of files that were joined
                if not _GZIP.startswith(rest[:2]):
                    return
                if len(rest) < 2:
                    self._between = rest
                    return
                self._zlib = zlib.decompressobj(_AUTO_DETECT)
            try:
                part = self._zlib.decompress(rest, STEP)
            except zlib.error:
                if self._head is None or self.encoding != "deflate":
                    self.readable = False
                    return
                # some mean the bare format of RFC 1951 by it, without the frame that RFC 9110 asks for
                self._zlib, rest, self._head = zlib.decompressobj(-zlib.MAX_WBITS), self._head + rest, None
                continue
            if part:
                self._head = None
                yield part
            elif self._head is not None:
                self._head = (self._head + rest)[:2]
            rest = self._zlib.unconsumed_tail
            if self._zlib.eof:
                rest, self._zlib = self._zlib.unused_data, None


_PLAIN: Final = Unpacker("", {})
"""Of all bodies that nobody has packed: it keeps nothing of them."""


def unpacker(encoding: str | None, decoders: Mapping[str, Callable[[], Decoder]]) -> Unpacker:
    """The unpacker of a body with this `content-encoding`; `None`: it has none."""
    return _PLAIN if encoding is None else Unpacker(encoding, decoders)
