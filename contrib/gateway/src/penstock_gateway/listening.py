"""The sockets at which a gateway with several workers listens: one per worker, all at one address.

The first process keeps them open, so what the kernel has accepted for a worker that dies waits for the next one.
"""

from __future__ import annotations

import socket
from typing import Final

from penstock import ConfigError

__all__ = ["cannot_listen", "listen", "listen_for_each", "url_of"]

BACKLOG: Final = 1024


def listen_for_each(count: int, host: str, port: int) -> list[list[socket.socket]]:
    """So many sockets at each address of a host, over which the kernel spreads connections: for each of `count`
    workers one per address. Raises `ConfigError`, also where somebody listens there already: with `SO_REUSEPORT` alone
    a second gateway would be let in beside the first.
    """
    alone = listen(host, port, "gateway", shared=False)
    found = alone[0].getsockname()[1]
    for each in alone:
        each.close()
    return [listen(host, found, "gateway", shared=True) for _ in range(count)]


def listen(host: str, port: int, where: str, *, shared: bool) -> list[socket.socket]:
    """A socket that listens for each address of a host; with `shared` others may beside them. `where` is the table of
    the address. Raises `ConfigError`.
    """
    found: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            each = socket.socket(family, kind, protocol)
            found.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = port or (found[0].getsockname()[1] if len(found) > 1 else 0)
            each.bind((address[0], taken, *address[2:]))
            each.listen(BACKLOG)
            each.setblocking(False)
    except (OSError, UnicodeError) as error:
        for each in found:
            each.close()
        raise cannot_listen(where, host, port, error) from None
    return found


def cannot_listen(where: str, host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    """The error of an address at which nobody can listen; a `UnicodeError` is that of a host that cannot be one."""
    why = (error.strerror if isinstance(error, OSError) else None) or error
    return ConfigError(f"{where}: cannot listen at {host}:{port}: {why}")


def url_of(host: str, listener: socket.socket) -> str:
    """The URL of a socket that listens at a host."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
