"""What can go wrong with a call on the wire, by what is known of it then.

CannotConnect   nothing was sent: the call was surely not made
ConnectionLost  the connection broke while the call was out: it may have been made, and paid for
BadAnswer       what came is no answer in HTTP/1.1, or more than is taken
"""

from __future__ import annotations

__all__ = ["BadAnswer", "CannotConnect", "ConnectionLost", "WireError"]


class WireError(Exception):
    """A call that failed on the wire, in one line. What the system said is its cause."""


class CannotConnect(WireError, ConnectionError):
    """There is no connection: no such host, nobody listens, or TLS could not be agreed on."""


class ConnectionLost(WireError, ConnectionError):
    """The connection ended before the answer did."""


class BadAnswer(WireError):
    """Bytes that are no answer in HTTP/1.1, or a head that is larger than it may be."""
