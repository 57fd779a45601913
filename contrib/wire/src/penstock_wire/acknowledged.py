"""How many bytes the other side's system has acknowledged of a TCP connection, as Linux tells it (TCP_INFO).

So it is known of a call that broke off whether anything of it can have been read: what the other system has not
acknowledged before it closed, none of its programs will ever see.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

__all__ = ["bytes_acknowledged"]

_AT: Final = 120
"""Where tcpi_bytes_acked stands in struct tcp_info of linux/tcp.h, since Linux 4.1."""
_SIZE: Final = 128


def bytes_acknowledged(sock: socket.socket) -> int | None:
    """The bytes that were acknowledged by now, one for the connection itself among them; `None`: nobody says."""
    if sys.platform != "linux":
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return None
    return struct.unpack_from("=Q", told, _AT)[0] if len(told) >= _SIZE else None
