"""What is inside: requests, bytes and time until the names are known, ours beside a file of fsspec and the library.

Run by `make bench`, or `python -m bench.info`. Azurite through a proxy that counts; the clients are warm, nothing of a
file is kept between rounds. The files have some 64 MB, more than one block of what a file of adlfs reads ahead.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import safetensors.torch
import torch
import zarr

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage.backends import close_all
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, azure_fields, running_azurite, write_connections
from tests.storage.servers import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.storage.servers import Recorder

ROUNDS = int(os.environ.get("ROUNDS", "5"))
COUNT, SHAPE = 64, (512, 512)


@dataclass
class Cost:
    """What one way took, a number a round."""

    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    bytes_down: int = 0


def write(folder: Path) -> None:
    """Write the same arrays in six formats."""
    state = {f"layer.{at}.weight": torch.randn(*SHAPE) for at in range(COUNT)}
    values = {name: one.numpy() for name, one in state.items()}
    torch.save(state, folder / "x.pt")
    torch.save(state, folder / "x.old.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, folder / "x.safetensors")
    np.savez(folder / "x.npz", **values)
    with h5py.File(folder / "x.h5", "w") as file:
        for name, one in values.items():
            file[name] = one
    group = zarr.open_group(folder / "x.zarr", mode="w", zarr_format=3)
    for name, one in values.items():
        group.create_array(name, data=one, chunks=SHAPE)
    zarr.consolidate_metadata(folder / "x.zarr")


def names(found: Iterable[str]) -> int:
    """Return how many names were found."""
    return len(list(found))


def by_safetensors(file: Any) -> int:
    """Read what the format's own page says: a length, then so much JSON; the library takes no file object."""
    import json

    size = int.from_bytes(file.read(8), "little")
    return names(name for name in json.loads(file.read(size)) if name != "__metadata__")


def by_hdf5(file: Any) -> int:
    """Visit all objects."""
    found: list[str] = []
    with h5py.File(file, "r") as opened:
        opened.visititems(lambda name, one: found.append(f"{name} {one.shape}"))
    return len(found)


def by_numpy(file: Any) -> int:
    """Open the archive, whose arrays are read when they are asked for."""
    with np.load(file) as opened:
        return names(opened.files)


LIBRARIES: dict[str, Callable[[Any], int]] = {
    "x.pt": lambda file: names(torch.load(file, weights_only=True)),
    "x.old.pth": lambda file: names(torch.load(file, weights_only=True)),
    "x.safetensors": by_safetensors,
    "x.npz": by_numpy,
    "x.h5": by_hdf5,
}


def theirs(text: str, container: str, name: str) -> Callable[[], int]:
    """Return the usual way: adlfs opens, the library reads."""
    import adlfs

    files = adlfs.AzureBlobFileSystem(connection_string=text)

    def stored() -> int:
        group = zarr.open_group(f"abfs://{container}/{name}", mode="r", storage_options={"connection_string": text})
        return names(key for key, _ in group.arrays())

    def opened() -> int:
        with files.open(f"{container}/{name}") as file:
            return LIBRARIES[name](file)

    return stored if name.endswith(".zarr") else opened


def ours(name: str) -> Callable[[], int]:
    """Return our way."""
    return lambda: int(jg.info(f"bench://{name}").to_json()["tensor_count"])


def measure(wire: Recorder, ways: dict[str, Callable[[], int]]) -> dict[str, Cost]:
    """Run the ways in turns, after one round that does not count."""
    costs = {name: Cost() for name in ways}
    for round_number in range(-1, ROUNDS):
        for name, way in ways.items():
            requests, size, begun = len(wire.requests), wire.bytes_down, time.perf_counter()
            if way() != COUNT:
                raise RuntimeError(f"{name} found another number of names")
            cost = costs[name]
            if round_number >= 0:
                cost.seconds.append(time.perf_counter() - begun)
            cost.requests, cost.bytes_down = len(wire.requests) - requests, wire.bytes_down - size
    return costs


def rows(name: str, costs: dict[str, Cost]) -> list[str]:
    """Return a line of the table a way."""
    lines = []
    for way, cost in costs.items():
        spread = f"{min(cost.seconds):.3f} to {max(cost.seconds):.3f}"
        median = statistics.median(cost.seconds)
        lines.append(f"| {name} | {way} | {cost.requests} | {cost.bytes_down / 1000:,.0f} | {median:.3f} ({spread}) |")
    return lines


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder_name, running_azurite() as azurite, recorder(azurite.port) as wire:
        folder = Path(folder_name)
        os.environ |= {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(folder / "connections.toml")}
        (data := folder / "data").mkdir()
        write(data)
        container = azurite.new_container()
        for path in (one for one in data.rglob("*") if one.is_file()):
            container.upload_blob(str(path.relative_to(data)), path.read_bytes())
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        fields = azure_fields(azurite, container.container_name) | {"endpoint": address}
        write_connections(folder / "connections.toml", bench=fields)
        text = f"BlobEndpoint={address};AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
        size = (data / "x.pt").stat().st_size
        print(f"\n### Names of {COUNT} tensors, {size / 1e6:.0f} MB, Azurite, {ROUNDS} rounds in turns\n")
        print("| format | way | requests | kB | s, median |", "| --- | --- | ---: | ---: | :--- |", sep="\n")
        for name in (*LIBRARIES, "x.zarr"):
            other = theirs(text, container.container_name, name)
            ways = {"jupyter_gpu_ext": ours(name), "adlfs and the library": other}
            print(*rows(name.removeprefix("x"), measure(wire, ways)), sep="\n", flush=True)
        close_all()


if __name__ == "__main__":
    main()
