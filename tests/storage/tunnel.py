"""A web proxy that joins a client and a server (CONNECT, RFC 9110, 9.3.6) and counts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Tunnel:
    """The proxy; it alone knows where `host` is."""

    host: str
    joined: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            method, target, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().split()
            host, _, port = target.rpartition(":")
            if method == "CONNECT" and host == self.host:
                self.joined.append(target)
                far, back = await asyncio.open_connection("127.0.0.1", int(port))
                writer.write(b"HTTP/1.1 200 Joined\r\n\r\n")
                await asyncio.gather(_pass(reader, back), _pass(far, writer))
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def tunnel(host: str) -> Iterator[Tunnel]:
    """Run the proxy on a thread of its own for the length of a block."""
    proxy, loop = Tunnel(host), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        loop.call_soon_threadsafe(lambda: loop.call_later(0.05, loop.stop))
        thread.join(5)
        loop.close()
