"""Listings, reads and writes: ours beside what people use today, in turns, as median ratios.

Run by `make bench`, or `python -m bench.storage [listing] [ranges] [azurite] [moto]` for parts of it. Emulators are
walls: against them the figures compare clients where the service is slow; against the plain server of ranges they say
what a client itself costs.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

import jupyter_gpu_ext as jg
from bench import certificate, clients
from bench.range_server import running_range_server
from bench.turns import measure, rows
from jupyter_gpu_ext.storage.backends import close_all
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, running_azurite, write_connections
from tests.server import asking, lag
from tests.server.live import running
from tests.storage.blob_server import FLAT, running_blob_server
from tests.storage.clouds import S3_KEYS, new_bucket, running_moto, s3_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.conftest import Azurite

ROUNDS = 5
MANY = 5000
RANGES_BYTES, AZURITE_BYTES, MOTO_BYTES = 256 << 20, 128 << 20, 64 << 20


def say(title: str, lines: list[str]) -> None:
    """Print a table."""
    print("\n".join(["", f"### {title}", "", *lines]), flush=True)


def compare(title: str, size_bytes: int, ways: Mapping[str, Callable[[int], object]]) -> None:
    """Measure and print."""
    say(f"{title}, {size_bytes / 1e6:.0f} MB, {ROUNDS} rounds", rows(measure(ways, ROUNDS), size_bytes))


def connect(folder: Path, **connections: dict[str, object]) -> None:
    """Make these the connections; whatever is open under other ones is closed."""
    close_all()
    write_connections(folder / "connections.toml", **connections)


def fill(azurite: Azurite) -> str:
    """Return a new container with 5,000 blobs in one folder."""
    container = azurite.new_container()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: container.upload_blob(f"many/{index:05}", b"x"), range(MANY)))
    return str(container.container_name)


def listing(folder: Path) -> None:
    """Measure listings over the server's own route, and how late its loop is meanwhile."""
    lines = ["| listing | entries | s | loop lag p50, p99, most (ms) |", "| --- | ---: | ---: | :--- |"]
    with running_blob_server() as generated, running_azurite() as azurite, running(folder / "server") as server:
        container = fill(azurite)
        connect(folder, big=generated.fields, azurite=azure_fields(azurite, container))
        for name, prefix in (("big", "flat/"), ("azurite", "many/")):
            asking.pages(server, name, prefix, limit=200, most=1)
            for label, limit, most, times in (("first page", 200, 1, 2 * ROUNDS), ("whole folder", 1000, 10**6, 1)):
                with lag.measured(server) as late:
                    walks = [asking.pages(server, name, prefix, limit=limit, most=most) for _ in range(times)]
                seconds = statistics.median(sum(walk.page_seconds) for walk in walks)
                of = f"{FLAT:,} generated" if name == "big" else f"{MANY:,} in Azurite"
                lates = f"{late.percentile(50):.1f}, {late.percentile(99):.1f}, {max(late.late_ms):.1f}"
                lines.append(f"| {label} of {of} | {walks[0].entries} | {seconds:.3f} | {lates} |")
        say("Listing, through Jupyter Server's route", lines)
        beside(azurite, container)


def beside(azurite: Azurite, name: str) -> None:
    """Measure the listing of 5,000 blobs beside the peers."""
    sdk, files, store = clients.azure_clients(azurite.endpoint, name)

    def ours(_: int) -> None:
        found = jg.fs("azurite").ls("many", detail=True)
        assert len(found) == MANY

    ways: dict[str, Callable[[int], object]] = {
        "jupyter_gpu_ext": ours,
        "obstore": lambda _: obstore.list_with_delimiter(store, "many/"),
        "azure-storage-blob": lambda _: list(sdk.walk_blobs("many/")),
        "adlfs": lambda _: (files.invalidate_cache(), files.ls(f"{name}/many", detail=True)),
    }
    timings = measure(ways, ROUNDS)
    lines = ["| way | s | CPU-s |", "| --- | ---: | ---: |"]
    lines += [
        f"| {way} | {statistics.median(one.seconds):.2f} | {statistics.median(one.cpu_seconds):.2f} |"
        for way, one in timings.items()
    ]
    say(f"All {MANY:,} blobs of a folder in Azurite, from Python, {ROUNDS} rounds", lines)


def range_reads(folder: Path) -> None:
    """Measure reads against the plain server of ranges, over http and TLS."""
    served = folder / "served"
    served.mkdir()
    with (served / "big").open("wb") as file:
        for _ in range(RANGES_BYTES >> 20):
            file.write(os.urandom(1 << 20))
    tls = certificate.write(folder)
    for title, files in (("plain http", None), ("TLS", tls)):
        with running_range_server(served, tls=files) as server:
            trusted = files[0] if files else None
            fields = {"root": "az://bench", "account": "devstoreaccount1", "endpoint": server.endpoint}
            fields |= {"credential": "account-key", "secret": f"env:{KEY_VARIABLE}"}
            connect(folder, bench={**fields, "ca_file": trusted or ""})
            ways = azure_reads(server.endpoint, "bench", "big", trusted)
            ways["plain sockets, 8 threads"] = clients.read_sockets(server.endpoint, "bench/big", trusted)
            compare(f"Read, plain server of ranges, {title}", RANGES_BYTES, ways)


def azure_reads(
    endpoint: str, container: str, key: str, trusted: str | None = None
) -> dict[str, Callable[[int], object]]:
    """Return the ways to read a blob."""
    sdk, files, store = clients.azure_clients(endpoint, container, trusted)
    ways: dict[str, Callable[[int], object]] = {
        "jupyter_gpu_ext, as a load reads": clients.read_ours(f"bench://{key}"),
        "jupyter_gpu_ext, fsspec, checked": clients.read_ours_checked("bench", key),
        "obstore, same ranges": clients.read_obstore(store, key),
        "obstore, one request": clients.read_whole(store, key),
        "azure-storage-blob, 8 at a time": lambda _: (
            sdk.get_blob_client(key).download_blob(max_concurrency=8).readall()
        ),
    }
    if files is not None:
        ways["adlfs"] = lambda _: files.cat_file(f"{container}/{key}")
    return ways


def azurite_both(folder: Path) -> None:
    """Measure reads and writes against Azurite."""
    data = os.urandom(AZURITE_BYTES)
    with running_azurite() as azurite:
        container = azurite.new_container()
        name = str(container.container_name)
        connect(folder, bench={**azure_fields(azurite, name), "read_only": False})
        sdk, files, store = clients.azure_clients(azurite.endpoint, name)
        ways: dict[str, Callable[[int], object]] = {
            "jupyter_gpu_ext": lambda _: jg.fs("bench").pipe_file("ours", data),
            "obstore": lambda _: obstore.put(store, "obstore", data, chunk_size=8 << 20, max_concurrency=8),
            "azure-storage-blob, 8 at a time": lambda _: sdk.upload_blob(
                "sdk", data, overwrite=True, max_concurrency=8
            ),
            "adlfs": lambda _: files.pipe_file(f"{name}/adlfs", data, overwrite=True),
        }
        compare("Write, Azurite", len(data), ways)
        compare("Read, Azurite", len(data), azure_reads(azurite.endpoint, name, "sdk"))


def moto_both(folder: Path) -> None:
    """Measure reads and writes against moto."""
    data = os.urandom(MOTO_BYTES)
    os.environ["TEST_S3_KEYS"] = ":".join(S3_KEYS)
    with running_moto() as port:
        bucket = new_bucket("bench", port)
        connect(folder, bench=s3_fields(bucket))
        files, store = clients.s3_clients(port, bucket.bucket)
        ways: dict[str, Callable[[int], object]] = {
            "jupyter_gpu_ext": lambda _: jg.fs("bench").pipe_file("ours", data),
            "obstore": lambda _: obstore.put(store, "obstore", data, chunk_size=8 << 20, max_concurrency=8),
            "s3fs": lambda _: files.pipe_file(f"{bucket.bucket}/s3fs", data),
        }
        compare("Write, moto", len(data), ways)
        reads: dict[str, Callable[[int], object]] = {
            "jupyter_gpu_ext, as a load reads": clients.read_ours("bench://ours"),
            "jupyter_gpu_ext, fsspec, checked": clients.read_ours_checked("bench", "ours"),
            "obstore, same ranges": clients.read_obstore(store, "ours"),
            "obstore, one request": clients.read_whole(store, "ours"),
            "s3fs": lambda _: files.cat_file(f"{bucket.bucket}/ours"),
        }
        compare("Read, moto", len(data), reads)


PARTS: dict[str, Any] = {"listing": listing, "ranges": range_reads, "azurite": azurite_both, "moto": moto_both}


def main(chosen: list[str]) -> None:
    """Measure the chosen parts, or all."""
    begun = time.monotonic()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in chosen or PARTS:
        with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
            stack.callback(close_all)
            os.environ |= {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(Path(place) / "connections.toml")}
            PARTS[name](Path(place))
    print(f"\n{time.monotonic() - begun:.0f} s, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
