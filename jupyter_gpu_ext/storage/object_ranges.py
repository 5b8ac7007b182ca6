"""Ranges through obstore: the exact bytes of one version, or an error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadStorageReplyError, ObjectChangedError
from jupyter_gpu_ext.storage.fill import chunk_bytes, fill
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.names import quoted
from jupyter_gpu_ext.storage.traffic import TRAFFIC
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from obstore.store import ObjectStore

CONNECT_SECONDS = 10
STALL_SECONDS = 15


def client_options(endpoint: str, certificates: bytes | None = None) -> dict[str, Any]:
    """Return obstore's options for connections to an address, whose server may show these certificates."""
    trusted = {} if certificates is None else {"root_certificate": certificates}
    return {
        **trusted,
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "read_timeout": f"{STALL_SECONDS}s",
        "timeout": "10m",
    }


def retry_config() -> dict[str, Any]:
    """Return obstore's options for not trying again: who calls does, see steady.py."""
    return {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}


async def first(store: ObjectStore, path: str, length: int) -> tuple[bytes, Version]:
    """Return the first bytes and the version; an empty object is a range error of the provider."""
    reply, version = await _begun(store, path, length)
    data = bytearray(min(length, version.size_bytes))
    await fill(reply.stream(min_chunk_size=chunk_bytes()), memoryview(data))
    return bytes(data), version


async def first_into(store: ObjectStore, path: str, out: memoryview) -> Version:
    """Fill `out` with the first bytes, a short object its beginning; an empty one is a range error of the provider."""
    reply, version = await _begun(store, path, len(out))
    await fill(reply.stream(min_chunk_size=chunk_bytes()), out[: version.size_bytes])
    return version


async def _begun(store: ObjectStore, path: str, length: int) -> tuple[Any, Version]:
    import obstore

    reply = await obstore.get_async(store, path, options={"range": (0, length)})
    return reply, Version(int(reply.meta["size"]), quoted(reply.meta["e_tag"]))


async def whole(store: ObjectStore, path: str, most_bytes: int) -> memoryview:
    """Return an object, of a longer one its first bytes; an empty object is a range error of the provider.

    One wait for all of it: a third of what it costs to be told of the version, of a piece, and of the end.
    """
    import obstore

    found = memoryview(await obstore.get_range_async(store, path, start=0, end=most_bytes))
    TRAFFIC.received_bytes += len(found)
    return found


async def chunks(store: ObjectStore, path: str, etag: str, start: int, stop: int) -> AsyncIterable[Any]:
    """Ask for the bytes from `start` to before `stop`, with `If-Match`, and return them as they come.

    Raises
    ------
    BadStorageReplyError
        When the answer is another range.
    ObjectChangedError
        When it is another version.
    """
    import obstore

    options: Any = {"range": (start, stop), "if_match": etag}
    reply = await obstore.get_async(store, path, options=options)
    if reply.range != (start, stop):
        raise BadStorageReplyError(f"{printable(path)!r}: another range came.", hint="Run it again.")
    if quoted(reply.meta["e_tag"]) != etag:
        # Something between here and the account does not keep to If-Match.
        raise ObjectChangedError("")
    return reply.stream(min_chunk_size=chunk_bytes())


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    """Yield what came in one piece."""
    yield data
