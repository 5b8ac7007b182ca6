"""A web proxy in front of an emulator that breaks what it passes on, in a way that can be replayed.

Faults are picked by rules (this fault, for requests like these, so often) or drawn with a seed; `log` holds
what was done to which request, `passed` the request, the answer and its bytes where it came from behind. The
emulator signs paths and headers, not the host, so a client only needs the proxy's port.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("k")))
    + b"]><EnumerationResults><Blobs>&j;</Blobs></EnumerationResults>"
)


@dataclass(frozen=True)
class Fault:
    """What is done to an answer; `value` is the status, its body, the header's value, the place or the pace."""

    kind: str
    value: Any = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Message:
    """A request or an answer: its first line, its headers, its body."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def set(self, name: str, value: str) -> None:
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()] + [(name, value)]

    def head(self, length: int | None = None) -> bytes:
        if length is not None:
            self.set("Content-Length", str(length))
        return "\r\n".join([self.line, *(f"{key}: {value}" for key, value in self.headers), "", ""]).encode("latin-1")


@dataclass
class Rule:
    """Break the next `times` requests that `when` picks."""

    fault: Fault
    times: int = 1_000_000
    when: Callable[[Message], bool] = lambda request: request.line.startswith("GET")


@dataclass
class FaultProxy:
    """The proxy; its rules may be changed while it runs."""

    behind: int
    rules: list[Rule] = field(default_factory=list)
    seed: int = 0
    drawn: tuple[Fault, ...] = ()
    rate: float = 0.0
    host: str = ""
    front: ssl.SSLContext | None = None
    back: ssl.SSLContext | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    passed: list[tuple[str, str, int]] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    client_gone: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def broken(self) -> int:
        """How many answers were broken."""
        return sum(kind != "" for _, kind in self.log)

    def pick(self, request: Message) -> Fault | None:
        found = None
        for rule in self.rules:
            if rule.times > 0 and rule.when(request):
                rule.times -= 1
                found = rule.fault
                break
        else:
            if self.drawn and self._random.random() < self.rate:
                found = self._random.choice(self.drawn)
        self.log.append((request.line, found.kind if found else ""))
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            while (request := await _read(reader, leave=writer)) is not None:
                fault = self.pick(request)
                answer = _made_up(fault) if fault else None
                if answer is None:
                    answer = await self._forward(request)
                if not await self._send(request, answer, fault, reader, writer):
                    break
        with contextlib.suppress(OSError):
            writer.close()

    async def _forward(self, request: Message) -> Message:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.behind, ssl=self.back)
        request.set("Connection", "close")
        if self.host:
            request.set("Host", self.host)
        writer.write(request.head(len(request.body) if request.body or request.header("Content-Length") else None))
        writer.write(request.body)
        answer = await _read(reader, bodiless=request.line.startswith("HEAD"))
        writer.close()
        assert answer is not None
        self.passed.append((request.line, answer.line, len(answer.body)))
        answer.headers = [pair for pair in answer.headers if pair[0].lower() not in ("connection", "keep-alive")]
        return answer

    async def _send(
        self, request: Message, answer: Message, fault: Fault | None,
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> bool:  # fmt: skip
        kind, half = fault.kind if fault else "", len(answer.body) // 2
        if request.line.startswith("HEAD"):
            writer.write(answer.head())
            await writer.drain()
            return True
        length = len(answer.body)
        if fault:
            _change(answer, fault, self._random)
            length = half if kind == "short" else len(answer.body)
        head = answer.head(length)
        match kind:
            case "fin" | "rst":
                writer.write(head + answer.body[:half])
                await writer.drain()
                if kind == "rst":
                    # A linger of nothing makes close() send RST; it also drops what is not sent, so wait for that.
                    await asyncio.sleep(0.05)
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                writer.transport.abort() if kind == "rst" else writer.close()
                return False
            case "lost":
                return False
            case "stall headers" | "stall body":
                writer.write(b"" if kind == "stall headers" else head + answer.body[:half])
                await writer.drain()
                self.stalled.set()
                await reader.read()
                self.client_gone.set()
                return False
            case "trickle":
                writer.write(head)
                for at in range(len(answer.body)):
                    writer.write(answer.body[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(1 / fault.value)  # type: ignore[union-attr]
                return True
        writer.write(head + answer.body[:length])
        await writer.drain()
        return True


def _made_up(fault: Fault) -> Message | None:
    """Return an answer that does not come from behind."""
    match fault.kind:
        case "status":
            return Message(f"HTTP/1.1 {fault.value} Broken", list(fault.headers), b"")
        case "reply":
            status, body = fault.value
            return Message(f"HTTP/1.1 {status} Refused", list(fault.headers), body)
        case "page":
            return Message("HTTP/1.1 200 OK", [("Content-Type", "text/html")], _PAGE)
        case "redirect":
            return Message("HTTP/1.1 307 Elsewhere", [("Location", fault.value)], b"")
        case "bomb":
            return Message("HTTP/1.1 200 OK", [("Content-Type", "application/xml")], _BOMB)
    return None


def _change(answer: Message, fault: Fault, draw: random.Random) -> None:
    """Change an answer in place."""
    match fault.kind:
        case "flip" if answer.body:
            at = draw.randrange(len(answer.body))
            answer.body = answer.body[:at] + bytes([answer.body[at] ^ (1 << draw.randrange(8))]) + answer.body[at + 1 :]
        case "long":
            answer.body += bytes(fault.value)
        case "whole":
            answer.line = "HTTP/1.1 200 OK"
            answer.headers = [pair for pair in answer.headers if pair[0].lower() != "content-range"]
            answer.body *= 3
        case "header":
            answer.set(*fault.value)
        case "marker":
            text = re.sub(rb"<NextMarker ?/>|<NextMarker>.*?</NextMarker>", b"", answer.body)
            answer.body = text.replace(b"</EnumerationResults>", b"<NextMarker>again</NextMarker></EnumerationResults>")
        case "cut xml":
            answer.body = answer.body[: len(answer.body) // 2]


async def _read(
    reader: asyncio.StreamReader, *, bodiless: bool = False, leave: asyncio.StreamWriter | None = None
) -> Message | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head[:-4].split("\r\n")
    message = Message(line, [(name, value.strip()) for name, _, value in (one.partition(":") for one in rest)], b"")
    if leave is not None and message.header("Expect"):
        leave.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        message.headers = [pair for pair in message.headers if pair[0].lower() != "expect"]
    if bodiless or " 204 " in line or " 304 " in line:
        return message
    if "chunked" in message.header("Transfer-Encoding").lower():
        while size := int((await reader.readline()).split(b";")[0], 16):
            message.body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        message.headers = [pair for pair in message.headers if pair[0].lower() != "transfer-encoding"]
    elif length := message.header("Content-Length"):
        message.body = await reader.readexactly(int(length))
    return message


@contextlib.contextmanager
def fault_proxy(behind: int, *rules: Rule, **options: Any) -> Iterator[FaultProxy]:
    """Run a proxy on a thread of its own for the length of a block."""
    proxy, loop = FaultProxy(behind, list(rules), **options), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 26, ssl=proxy.front))
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
