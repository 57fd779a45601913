"""The proxies of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY), for clients that have their own transport.

httpx2 looks at them only where it makes the transport. What is on this machine no proxy reaches, and none is given the
keys that are sent to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from threading import Lock
from typing import Final, Generic, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx2

from penstock import ConfigError

__all__ = ["AsyncProxiedTransport", "ProxiedTransport"]

T = TypeVar("T")

NO_POOL_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
"""The gate bounds the calls; a pool that bounded them too would be a second, hidden queue."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine.

    >>> [is_loopback(host) for host in ("127.0.0.2", "::1", "LOCALHOST.", "::ffff:127.0.0.1", "10.0.0.1")]
    [True, True, True, True, False]
    """
    name = host.lower().rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def proxy_of(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for an address, if it names one."""
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


class _ByProxy(Generic[T]):
    """The transports by the proxy that each goes through, made when it is first used."""

    def __init__(self, make: Callable[[str | None], T]) -> None:
        self._make = make
        self._made: dict[str | None, T] = {}
        self._lock = Lock()  # many threads may share a client

    def at(self, url: httpx2.URL) -> T:
        """The transport to an address. Raises `ConfigError` for a proxy that cannot be used."""
        proxy = proxy_of(url)
        with self._lock:
            if proxy not in self._made:
                try:
                    self._made[proxy] = self._make(proxy)
                except (ImportError, ValueError, httpx2.InvalidURL) as error:
                    what = f"the proxy that the environment names for {url.host} cannot be used: {error}"
                    raise ConfigError(what) from None
            return self._made[proxy]

    def __iter__(self) -> Iterator[T]:
        return iter(self._made.values())


class AsyncProxiedTransport(httpx2.AsyncBaseTransport):
    """A transport that sends each request by the environment's proxy for it, or directly; without limits of its own."""

    def __init__(self) -> None:
        self._transports = _ByProxy(lambda proxy: httpx2.AsyncHTTPTransport(limits=NO_POOL_LIMITS, proxy=proxy))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to a request."""
        return await self._transports.at(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports:
            await transport.aclose()


class ProxiedTransport(httpx2.BaseTransport):
    """`AsyncProxiedTransport` for synchronous clients."""

    def __init__(self) -> None:
        self._transports = _ByProxy(lambda proxy: httpx2.HTTPTransport(limits=NO_POOL_LIMITS, proxy=proxy))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to a request."""
        return self._transports.at(request.url).handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self._transports:
            transport.close()
