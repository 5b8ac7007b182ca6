"""Load checkpoints: ours beside what people use today, in turns, as median ratios.

Run by `make bench`, or `python -m bench.loading [plain] [tls] [cloud] [azurite] [parts]` for parts of it. Against the
plain server of ranges the figures say what a client itself costs; 'cloud' is that server with 20 ms before each answer
and 60 MB/s a connection, about what one connection to object storage gives. The emulator is a wall of its own.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from bench import certificate, clients
from bench.range_server import running_range_server
from bench.turns import measure, rows
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.loop import LOOP
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, running_azurite, write_connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import AzureStore

    from bench.range_server import RangeServer

    Way = Callable[[int], object]

ROUNDS = int(os.environ.get("ROUNDS", "7"))
CONTAINER = "models"
SHAPES = {
    "450 MB in 50 tensors": [(1500, 1500)] * 50,
    "450 MB in 4 tensors": [(5305, 5305)] * 4,
    "100 MB in 200 tensors": [(354, 354)] * 200,
}


def files(folder: Path, shapes: list[tuple[int, int]]) -> int:
    """Write x.pt and x.safetensors; return the bytes of the tensors."""
    torch.manual_seed(0)
    state = {f"layer.{at}.weight": torch.randn(*shape) for at, shape in enumerate(shapes)}
    torch.save(state, folder / "x.pt")
    safetensors.torch.save_file(state, folder / "x.safetensors")
    return sum(one.nbytes for one in state.values())


def ours(name: str, **options: Any) -> Way:
    """Return our load."""
    return lambda _: jg.load(f"bench://{name}", device="cpu", **options)


def limit(store: AzureStore, name: str, width: int = 16) -> Way:
    """Return the same client's ranges, side by side and dropped: what no load can pass."""

    async def one(gate: asyncio.Semaphore, start: int, stop: int) -> None:
        async with gate:
            reply = await obstore.get_async(store, name, options={"range": (start, stop)})
            async for _ in reply.stream(min_chunk_size=1 << 20):
                pass

    async def all_of_it() -> None:
        size, gate = (await obstore.head_async(store, name))["size"], asyncio.Semaphore(width)
        await asyncio.gather(*(one(gate, at, min(at + (8 << 20), size)) for at in range(0, size, 8 << 20)))

    return lambda _: LOOP.run(all_of_it())


def written(sizes: list[tuple[int, int]]) -> Way:
    """Return what the tensors' memory costs when it is written for the first time, whoever writes it."""
    return lambda _: [torch.empty(shape).fill_(1.0) for shape in sizes]


def plain_obstore(store: AzureStore, name: str) -> Way:
    """Return what a person writes with obstore: ranges by threads, put together, read by the library."""

    def load() -> object:
        size = obstore.head(store, name)["size"]
        with ThreadPoolExecutor(16) as pool:
            parts = pool.map(
                lambda at: obstore.get_range(store, name, start=at, end=min(at + (8 << 20), size)),
                range(0, size, 8 << 20),
            )
            data = b"".join(bytes(one) for one in parts)
        return safetensors.torch.load(data) if name.endswith("safetensors") else _torch(io.BytesIO(data))

    return lambda _: load()


def peers(endpoint: str, sdk: Any, files_: Any) -> dict[str, Way]:
    """Return the ways of others to load x.pt and x.safetensors."""
    ways: dict[str, Way] = {
        "download_blob + torch.load": lambda _: _recipe(sdk),
    }
    if files_ is not None:
        ways["adlfs + torch.load"] = lambda _: _by_file(files_, "x.pt")
        ways["fsspec + safetensors"] = lambda _: safetensors.torch.load(files_.cat_file(f"{CONTAINER}/x.safetensors"))
    if (blob_io := _azstoragetorch()) is not None and endpoint.startswith("http:"):
        ways["azstoragetorch + torch.load"] = lambda _: _blob_io(blob_io, f"{endpoint}/{CONTAINER}/x.pt")
    return ways


def run_ai(server: RangeServer) -> dict[str, Way]:
    """Return Run:ai's streamer, which reads safetensors from S3; nothing where it is not installed."""
    try:
        from runai_model_streamer import SafetensorsStreamer
    except ImportError:
        return {}
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1", "RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip

    def load() -> object:
        with SafetensorsStreamer() as streamer:
            streamer.stream_file(f"s3://{server.endpoint.rpartition('/')[2]}/{CONTAINER}/x.safetensors")
            return {name: one.clone() for name, one in streamer.get_tensors()}

    return {"runai-model-streamer (S3)": lambda _: load()}


def _recipe(sdk: Any) -> object:
    return _torch(io.BytesIO(sdk.get_blob_client("x.pt").download_blob().readall()))


def _torch(file: Any) -> object:
    return torch.load(file, weights_only=True)


def _by_file(files_: Any, name: str) -> object:
    with files_.open(f"{CONTAINER}/{name}") as file:
        return _torch(file)


def _azstoragetorch() -> Any:
    try:
        from azstoragetorch.io import BlobIO
    except ImportError:
        return None
    return BlobIO


def _blob_io(kind: Any, url: str) -> object:
    with kind(url, "rb", credential=False) as file:
        return _torch(file)


def table(title: str, size: int, ways: dict[str, Way], rounds: int = ROUNDS) -> None:
    """Measure and print."""
    print(f"\n### {title}\n", *rows(measure(ways, rounds), size), sep="\n", flush=True)


def against(folder: Path, server: RangeServer, words: str, ca_file: str | None = None, *, slow: bool = False) -> None:
    """Compare everybody on every shape, .pt and safetensors."""
    close_all()
    fields = {"root": f"az://{CONTAINER}", "endpoint": server.endpoint, "credential": "account-key"}
    fields |= {"secret": f"env:{KEY_VARIABLE}"} | ({"ca_file": ca_file} if ca_file else {})
    write_connections(folder / "connections.toml", bench=fields)
    sdk, files_, store = clients.azure_clients(server.endpoint, CONTAINER, ca_file)
    for shape, sizes in SHAPES.items():
        size = files(folder / CONTAINER, sizes)
        ways = {
            "jupyter_gpu_ext, .pt": ours("x.pt"),
            "jupyter_gpu_ext, safetensors": ours("x.safetensors"),
            "ranges by obstore, dropped: the limit": limit(store, "x.pt", 48 if slow else 16),
            "the tensors' memory, written once": written(sizes),
            "ranges by sockets into one buffer": clients.read_sockets(server.endpoint, f"{CONTAINER}/x.pt", ca_file),
            "obstore by hand + torch.load": plain_obstore(store, "x.pt"),
            **peers(server.endpoint, sdk, files_),
            **(run_ai(server) if not ca_file else {}),
        }
        table(f"{shape}, {words}", size, ways)
        if slow:
            break


def parts(folder: Path) -> None:
    """Print what 1 % of a checkpoint costs."""
    files(folder / CONTAINER, SHAPES["100 MB in 200 tensors"])
    for name in ("x.pt", "x.safetensors"):
        from jupyter_gpu_ext.tensors.loader import load_named

        header = jg.info(f"bench://{name}").file
        _, receipt = load_named(f"bench://{name}", device="cpu", keys=["layer.7.*", "layer.100.*"])
        beyond = (receipt.bytes_read - header.bytes_read) / receipt.size_bytes
        print(
            f"1 % of {name}: header {header.bytes_read:,} bytes in {header.requests} requests; "
            f"tensors of {receipt.size_bytes:,} bytes, ×{beyond:.3f} of them read"
        )


def from_azurite(folder: Path) -> None:
    """Compare on the emulator, 105 MB."""
    close_all()
    size = files(folder, [(512, 1024)] * 50)
    with running_azurite() as azurite:
        container = azurite.new_container()
        for name in ("x.pt", "x.safetensors"):
            container.upload_blob(name, (folder / name).read_bytes(), max_concurrency=4)
        write_connections(folder / "connections.toml", bench=azure_fields(azurite, container.container_name))
        sdk, files_, store = clients.azure_clients(azurite.endpoint, container.container_name)
        ways = {
            "jupyter_gpu_ext, .pt": ours("x.pt"),
            "jupyter_gpu_ext, safetensors": ours("x.safetensors"),
            "ranges by obstore, dropped: the limit": limit(store, "x.pt", 8),
            "download_blob + torch.load": lambda _: _recipe(sdk),
            "adlfs + torch.load": lambda _: _open(files_, f"{container.container_name}/x.pt"),
        }
        table("105 MB in 50 tensors, Azurite", size, ways)


def _open(files_: Any, path: str) -> object:
    with files_.open(path) as file:
        return _torch(file)


def main() -> None:
    """Measure and print."""
    asked = set(sys.argv[1:]) or {"plain", "tls", "cloud", "azurite", "parts"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / CONTAINER).mkdir()
        os.environ |= {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(folder / "connections.toml")}
        print(f"{os.cpu_count()} cores, torch {torch.__version__}, {ROUNDS} rounds in turns")
        if asked & {"plain", "parts"}:
            with running_range_server(folder / CONTAINER) as server:
                if "plain" in asked:
                    against(folder, server, "plain http")
                else:
                    write_connections(
                        folder / "connections.toml",
                        bench={"root": f"az://{CONTAINER}", "endpoint": server.endpoint, "credential": "account-key",
                               "secret": f"env:{KEY_VARIABLE}"},
                    )  # fmt: skip
                if "parts" in asked:
                    parts(folder)
        if "tls" in asked:
            shown, key = certificate.write(folder)
            with running_range_server(folder / CONTAINER, tls=(shown, key)) as server:
                against(folder, server, "TLS", shown)
        if "cloud" in asked:
            with running_range_server(folder / CONTAINER, latency_ms=20, rate_mbps=60) as server:
                against(folder, server, "20 ms and 60 MB/s a connection", slow=True)
        if "azurite" in asked:
            from_azurite(folder)
        close_all()


if __name__ == "__main__":
    main()
