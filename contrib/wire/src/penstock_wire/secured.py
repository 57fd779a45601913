"""TLS without a socket: bytes to be sent become others, and others that came become what was sent. No I/O, no clock."""

from __future__ import annotations

import ssl
from typing import Final

__all__ = ["Secured"]

_AT_ONCE: Final = 256 * 1024


class Secured:
    """The client's side of a connection with TLS to `host`."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_hostname=host)

    def agree(self, data: bytes | None) -> bool:
        """Whether the handshake is done, after these bytes have come (`None`: it begins). What is `to_send` has to go
        out then. Raises `OSError`, as `ssl.SSLError`.
        """
        if data is not None:
            self._take(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _take(self, data: bytes) -> None:
        if data:
            self._came.write(data)
        else:
            self._came.write_eof()

    def to_send(self) -> bytes:
        """What has to go out by now."""
        return self._goes.read()

    def sealed(self, data: bytes) -> bytes:
        """The bytes that go out for these."""
        if data:
            self._tls.write(data)
        return self._goes.read()

    def opened(self, data: bytes) -> tuple[bytes, bool]:
        """What these bytes hold, and whether no more comes. Raises `OSError`."""
        self._take(data)
        pieces = []
        try:
            while piece := self._tls.read(_AT_ONCE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass  # many close without the farewell that TLS asks for
        return b"".join(pieces), True
