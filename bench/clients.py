"""Ways to read and to write one object: ours, its parts, its peers, and plain sockets."""

from __future__ import annotations

import http.client
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore.store import AzureStore, S3Store

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage.loop import LOOP, ahead
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY
from tests.storage.clouds import S3_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ObjectStore

# What `load` uses: 8 ranges of 8 MiB in flight.
RANGE_BYTES, IN_FLIGHT = 8 << 20, 8


def ranges(size: int) -> list[ByteRange]:
    """Return the ranges of a whole object."""
    return split([ByteRange(0, size)], most_bytes=RANGE_BYTES)


def read_ours(url: str) -> Callable[[int], object]:
    """Return the read that a load does: ranges of a pinned version, straight into one buffer."""

    async def read() -> bytearray:
        reader = await open_reader(url)
        data = bytearray(reader.version.size_bytes)
        view = memoryview(data)
        work = (reader.read_into(one.start, view[one.start : one.stop]) for one in ranges(len(data)))
        async for _ in ahead(work, IN_FLIGHT):
            pass
        return data

    return lambda _: LOOP.run(read())


def read_ours_checked(name: str, key: str) -> Callable[[int], object]:
    """Return the read of our fsspec file system, which checks the stored MD5."""
    return lambda _: jg.fs(name).cat_file(key)


def read_obstore(store: ObjectStore, key: str) -> Callable[[int], object]:
    """Return the same ranges by obstore alone, by eight threads, into buffers of its own."""

    def read() -> list[Any]:
        # Its `get_ranges` would make one request of ranges that touch.
        pieces = ranges(obstore.head(store, key)["size"])
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(lambda one: obstore.get_range(store, key, start=one.start, end=one.stop), pieces))

    return lambda _: read()


def read_whole(store: ObjectStore, key: str) -> Callable[[int], object]:
    """Return one request for all, by obstore."""
    return lambda _: obstore.get(store, key).bytes()


def read_sockets(endpoint: str, path: str, certificate: str | None = None) -> Callable[[int], object]:
    """Return plain sockets, eight threads, no signature, no check: the limit of this machine."""
    address = urlsplit(f"{endpoint}/{path}")
    context = ssl.create_default_context(cafile=certificate) if certificate else None

    def opened() -> http.client.HTTPConnection:
        if context:
            return http.client.HTTPSConnection(address.netloc, context=context, timeout=60)
        return http.client.HTTPConnection(address.netloc, timeout=60)

    def part(view: memoryview, pieces: list[ByteRange]) -> None:
        client = opened()
        for one in pieces:
            client.request("GET", address.path, headers={"Range": f"bytes={one.start}-{one.stop - 1}"})
            reply, at = client.getresponse(), one.start
            while at < one.stop:
                at += reply.readinto(view[at : one.stop])
            reply.read()
        client.close()

    def read() -> bytearray:
        client = opened()
        client.request("HEAD", address.path)
        data = bytearray(int(client.getresponse().headers["Content-Length"]))
        pieces, view = ranges(len(data)), memoryview(data)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            list(pool.map(lambda first: part(view, pieces[first::IN_FLIGHT]), range(IN_FLIGHT)))
        return data

    return lambda _: read()


def azure_clients(endpoint: str, container: str, certificate: str | None = None) -> tuple[Any, Any, AzureStore]:
    """Return the SDK's container client, adlfs (None over a private certificate) and obstore's store."""
    import adlfs
    from azure.storage.blob import ContainerClient

    verify = {"connection_verify": certificate} if certificate else {}
    sdk = ContainerClient(endpoint, container, credential=AZURITE_KEY, **verify)
    text = f"BlobEndpoint={endpoint};AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
    files = None if certificate else adlfs.AzureBlobFileSystem(connection_string=text)
    options: Any = {"allow_http": endpoint.startswith("http:")}
    if certificate:
        options["root_certificate"] = Path(certificate).read_bytes()
    store = AzureStore(
        container, account_name=AZURITE_ACCOUNT, account_key=AZURITE_KEY, endpoint=endpoint, client_options=options
    )
    return sdk, files, store


def s3_clients(port: int, bucket: str) -> tuple[Any, S3Store]:
    """Return s3fs and obstore's store."""
    import s3fs

    key, secret = S3_KEYS
    endpoint = f"http://127.0.0.1:{port}"
    files = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=endpoint, skip_instance_cache=True)
    store = S3Store(
        bucket,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=key,
        secret_access_key=secret,
        client_options={"allow_http": True},
    )
    return files, store
