"""The array viewer in a real browser: a 4-D store of Azurite, its slices, what is asked before, a read cancelled."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

import nbformat
import numpy as np
import xarray as xr
import zarr

from tests.conftest import AZURITE_KEY, HERE, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, Message, Rule, fault_proxy
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob import ContainerClient

STATIC = HERE.parent / "jupyter_gpu_ext" / "labextension" / "static"
EAGER_BYTES = 150_000


def weather(folder: Path) -> None:
    """Write a store of four axes whose latitude falls, and an array that is too much for one look."""
    time = np.arange(6) * 6
    level, latitude, longitude = np.array([1000.0, 850.0, 500.0]), np.linspace(90, -90, 73), np.arange(0, 360, 2.5)
    waves = np.sin(np.radians(longitude * 3))[None, :] * np.cos(np.radians(latitude))[:, None]
    fall = np.cos(np.radians(latitude))[:, None] * 50
    values = np.stack([[220 + fall - 9 * k + 12 * np.roll(waves, 9 * t, axis=1) for k in range(3)] for t in range(6)])
    dims = ("time", "level", "latitude", "longitude")
    named = {"long_name": "2 metre temperature", "units": "K", "history": f"{'made up, ' * 40}and stored"}
    xr.Dataset(
        {"t2m": (dims, values.astype("f4"), named)},
        {
            "time": ("time", time, {"units": "hours since 2020-01-01", "calendar": "standard"}),
            "level": ("level", level, {"units": "hPa"}),
            "latitude": ("latitude", latitude, {"units": "degrees_north", "standard_name": "latitude"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    ).to_zarr(folder, zarr_format=2, consolidated=False, encoding={"t2m": {"chunks": (1, 1, 73, 144)}})
    (folder / "t2m" / "5.2.0.0").unlink()
    zarr.create_array(
        store=str(folder),
        name="sheet",
        shape=(6000, 6000),
        chunks=(1000, 1000),
        dtype="f4",
        zarr_format=2,
        fill_value=1,
        attributes={"_ARRAY_DIMENSIONS": ["row", "column"]},
    )
    zarr.consolidate_metadata(str(folder), zarr_format=2)


def upload(container: ContainerClient, folder: Path, prefix: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            container.upload_blob(f"{prefix}/{file.relative_to(folder)}", file.read_bytes())


def chunk_of_t2m(request: Message) -> bool:
    """Return whether a request is for a chunk of the array, not for its metadata."""
    return re.search(r"/t2m/[\d.]+\?| .*/t2m/[\d.]+ HTTP", request.line) is not None


def test_arrays_are_seen(azurite: Azurite, tmp_path: Path) -> None:
    weather(tmp_path / "t2m.zarr")
    container = azurite.new_container()
    upload(container, tmp_path / "t2m.zarr", "t2m.zarr")
    np.save(tmp_path / "picture.npy", np.indices((60, 90)).sum(0)[..., None].astype("u1") * np.array([1, 2, 3], "u1"))
    container.upload_blob("picture.npy", (tmp_path / "picture.npy").read_bytes())
    source = '%load_ext jupyter_gpu_ext\n%blob view era5://t2m.zarr --path t2m --select "latitude=60:30"'
    cells = [nbformat.v4.new_code_cell(source)]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    fields = azure_fields(azurite, container.container_name)
    with fault_proxy(azurite.port, Rule(Fault("stall body"), when=chunk_of_t2m)) as slow:
        address = azurite.endpoint.replace(str(azurite.port), str(slow.port))
        write_connections(tmp_path / "connections.toml", era5=fields, slow={**fields, "endpoint": address})
        environ = {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(tmp_path / "connections.toml")}
        with running_lab(tmp_path / "lab", environ) as lab:
            nbformat.write(notebook, lab.work / "view.ipynb")
            found = drive("viewer.mjs", lab, HERE / ".artifacts" / "viewer")
            sampled = xr.open_zarr(lab.work / "t2m.zarr").t2m.load()
        assert slow.client_gone.wait(10), "a read that was cancelled goes on"
    assert found["group"] == ["latitude", "level", "longitude", "sheet", "t2m", "time"]
    assert cast("int", found["colours"]) > 50, "a heat map of one colour"
    assert cast("float", found["moved"]) > 5, "another slice looks the same"
    assert cast("float", found["dark"]) < 5, "the theme changes the colours of the data"
    assert found["places"] == "time[1] = 2020-01-01 06:00 · level[0] = 1000 hPa"
    assert found["load"] == '%load_blob era5://t2m.zarr/t2m --select "1, 0, :, :" -o t2m'
    assert "isel(time=1, level=0)" in str(found["xarray"])
    call = 'ZarrStream("era5://t2m.zarr", arrays=["t2m"], sample_axis="time", select="latitude=60:30")'
    assert call in str(found["stream"])
    assert str(found["batch"]).strip() == "{'t2m': (6, 3, 13, 144)}"
    assert found["sample"] == '%blob sample era5://t2m.zarr ./t2m.zarr --keys t2m --select "1, 0, :, :"'
    whole = zarr.open_group(tmp_path / "t2m.zarr", mode="r")
    assert np.array_equal(sampled.values, cast("zarr.Array", whole["t2m"])[1:2, :1])
    assert np.array_equal(sampled.latitude, cast("zarr.Array", whole["latitude"])[:])
    assert str(sampled.time.values[0]).startswith("2020-01-01T06:00")
    assert re.fullmatch(r"reads \d+\.\d kB in one request", str(found["cost"]))
    assert re.fullmatch(r"reads \d+\.\d kB in one request, 5\.6x what you use", str(found["partCost"]))
    stored = {"cells": "18", "stored": "17", "missing": "1", "touched": "1", "touchedMissing": "0"}
    assert found["chunks"] == stored
    assert found["hole"] == {"cells": "36", "stored": "0", "missing": "36", "touched": "6", "touchedMissing": "6"}
    assert found["maps"] == 2, "the map is asked for again with each slice"
    attributes = cast("dict[str, str]", found["attributes"])
    assert attributes["units"] == "K"
    assert attributes["history"].startswith("made up, ")
    assert attributes["history"].endswith("… more")
    assert str(found["history"]).endswith("and stored less")
    assert found["part"] == "part: 6 × 3 × 13 × 144 · 135 kB"
    assert "144 MB" in str(found["question"])
    assert "overview, 1 in" in str(found["overview"])
    assert "Request cancelled" in str(found["cancelled"])
    assert found["tabs"] == ["Matrix", "Line", "Heatmap", "RGB"]
    assert found["opened"] == 2, "a cell that runs opens one viewer, its button another"
    assert found["again"] == found["part"], "the part that the cell names"
    # What a browser notes of a refusal that was asked about, and of a read that was cancelled.
    expected = ("status of 413", "AbortError: cancelled by user")
    assert [one for one in cast("list[str]", found["problems"]) if not any(part in one for part in expected)] == []


def test_the_first_bytes_stay_few() -> None:
    """The viewer's library is a chunk of its own, which is loaded with the first array."""
    entry = next(STATIC.glob("remoteEntry.*.js"))
    names = json.loads((STATIC.parent / "package.json").read_text())["jupyterlab"]["_build"]
    assert names["load"].endswith(entry.name)
    chunks = {file: file.read_text(errors="replace") for file in STATIC.glob("*.js")}
    heavy = [file for file, text in chunks.items() if "WebGLRenderer" in text]
    assert len(heavy) == 1
    eager = [file for file, text in chunks.items() if "jupyter-gpu-ext:open-storage" in text]
    assert sum(file.stat().st_size for file in [*eager, entry]) < EAGER_BYTES
