"""The wire under httpx2: its answers and its errors are httpx2's."""

from __future__ import annotations

import httpx2
import pytest
import trio

from penstock_wire.transport import WireTransport

pytestmark = pytest.mark.loopback


async def answering(stream: trio.SocketStream) -> None:
    with trio.CancelScope():
        while data := await stream.receive_some(65536):
            if b"/broken" in data:
                await stream.aclose()
                return
            if b"/silent" in data:
                continue
            body = b'{"path": "%s"}' % data.split(b" ")[1]
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            await stream.send_all(head + body)


async def test_answers_and_errors_are_httpx2s() -> None:
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(
            lambda *, task_status: trio.serve_tcp(answering, 0, host="127.0.0.1", task_status=task_status)
        )
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, transport=WireTransport()) as client:
            answer = await client.get("/a%20b", params={"c": "d"})
            assert answer.json() == {"path": "/a%20b?c=d"}
            async with client.stream("POST", "/x", json={}) as streamed:
                assert [piece async for piece in streamed.aiter_bytes()] == [b'{"path": "/x"}']
            with pytest.raises(httpx2.ReadError):
                await client.get("/broken")
            with pytest.raises(httpx2.ReadTimeout):
                await client.get("/silent", timeout=0.01)
            with pytest.raises(httpx2.UnsupportedProtocol):
                await client.get("ftp://127.0.0.1/")
        nursery.cancel_scope.cancel()
    async with httpx2.AsyncClient(base_url=url, transport=WireTransport()) as client:
        with pytest.raises(httpx2.ConnectError, match="cannot connect"):
            await client.get("/")
