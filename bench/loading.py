"""Load a checkpoint from Azurite: ours beside what people paste today, interleaved, as a median ratio.

Run by `make bench`. The emulator is the wall here: the figures compare ways, they say nothing of Azure.
"""

from __future__ import annotations

import gc
import io
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import jupyter_gpu_ext as jg
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, azure_fields, running_azurite, write_connections

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7


def checkpoint() -> bytes:
    """Return a .pt of 50 tensors, 105 MB."""
    torch.manual_seed(0)
    file = io.BytesIO()
    torch.save({f"layer{i}.weight": torch.randn(512, 1024) for i in range(50)}, file)
    return file.getvalue()


def peers(endpoint: str, container: str) -> dict[str, Callable[[], object]]:
    """Return each way to load the checkpoint."""
    import adlfs
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient(endpoint, credential=AZURITE_KEY).get_blob_client(container, "model.pt")
    text = f"BlobEndpoint={endpoint};AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
    files = adlfs.AzureBlobFileSystem(connection_string=text)

    def recipe() -> object:
        return torch.load(io.BytesIO(client.download_blob().readall()), weights_only=True)

    def by_file() -> object:
        with files.open(f"{container}/model.pt") as file:
            return torch.load(file, weights_only=True)

    return {
        "jupyter_gpu_ext": lambda: jg.load("bench://model.pt", device="cpu"),
        "download_blob + torch.load": recipe,
        "adlfs open + torch.load": by_file,
    }


def measure(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds of each way, the ways taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def report(seconds: dict[str, list[float]], size_bytes: int) -> None:
    """Print a row a way: median, rate, and how many times ours is faster (median and spread of the pairs)."""
    ours = seconds["jupyter_gpu_ext"]
    print(f"{size_bytes / 1e6:.0f} MB .pt from Azurite, {ROUNDS} interleaved rounds, {os.cpu_count()} cores")
    for name, own in seconds.items():
        ratios = sorted(theirs / mine for theirs, mine in zip(own, ours, strict=True))
        median = statistics.median(own)
        print(
            f"{name:<28} {median:6.2f} s  {size_bytes / median / 1e6:6.0f} MB/s  "
            f"x{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


def main() -> None:
    """Measure and print."""
    data = checkpoint()
    with tempfile.TemporaryDirectory() as folder, running_azurite() as azurite:
        container = azurite.new_container()
        container.upload_blob("model.pt", data, max_concurrency=4)
        os.environ |= {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(Path(folder) / "connections.toml")}
        write_connections(Path(folder) / "connections.toml", bench=azure_fields(azurite, container.container_name))
        report(measure(peers(azurite.endpoint, container.container_name)), len(data))


if __name__ == "__main__":
    main()
