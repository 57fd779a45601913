"""What tests of TLS share."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def contexts(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for localhost and provider.example, and a client's that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    return server, ssl.create_default_context(cafile=str(certificate[0]))
