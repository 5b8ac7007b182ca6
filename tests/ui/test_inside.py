"""What's inside, in a real browser on Azurite: the table of a sharded checkpoint, the pieces of a Zarr array."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest
import zarr
from safetensors.numpy import save

from tests.conftest import AZURITE_KEY, HERE, KEY_VARIABLE, Store
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = 40


def put_model(store: Store) -> None:
    """Write a model of two shards and their index."""
    parts = [dict[str, Any](), dict[str, Any]()]
    for layer in range(LAYERS):
        for name in ("self_attn.q_proj.weight", "mlp.up_proj.weight", "input_layernorm.weight"):
            shape = (64, 64) if "proj" in name else (64,)
            parts[layer * 2 // LAYERS][f"model.layers.{layer}.{name}"] = np.full(shape, layer, "float32")
    names = [f"model-0000{at + 1}-of-00002.safetensors" for at in range(2)]
    for name, part in zip(names, parts, strict=True):
        store.put(f"llama/{name}", save(part))
    weight_map = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    store.put("llama/model.safetensors.index.json", json.dumps(index).encode())


def put_weather(store: Store, folder: Path) -> None:
    """Write a store of one field with coordinates; half of its chunks were never written."""
    group = zarr.open_group(folder, mode="w", attributes={"source": "a model"})
    names = ("time", "latitude", "longitude")
    about = {"units": "K", "long_name": "2 metre temperature"}
    field = group.create_array(
        "t2m",
        shape=(48, 60, 120),
        chunks=(2, 20, 40),
        dtype="f4",
        dimension_names=names,
        attributes=about,
        fill_value=0,
    )
    values = np.random.default_rng(0).random((24, 60, 120), "float32")
    field[:24] = values
    labels = (np.arange(48.0), np.linspace(60, 30, 60), np.linspace(0, 40, 120))
    for name, values in zip(names, labels, strict=True):
        units = {"units": "hours since 2020-01-01"} if name == "time" else {}
        axis = group.create_array(name, shape=values.shape, dtype="f8", dimension_names=(name,), attributes=units)
        axis[:] = values
    zarr.create_array(folder.parent / "alone.zarr", shape=(40, 3), chunks=(4, 3), dtype="f4")
    for path in folder.parent.rglob("*.zarr/**/*"):
        if path.is_file():
            store.put(path.relative_to(folder.parent).as_posix(), path.read_bytes())


@pytest.mark.timeout(400)
def test_the_table_and_the_pieces(azure_store: Store, tmp_path: Path) -> None:
    put_model(azure_store)
    put_weather(azure_store, tmp_path / "stores" / "t2m.zarr")
    environ = {"JUPYTER_GPU_SIMULATED": "1xA100", KEY_VARIABLE: AZURITE_KEY}
    with running_lab(tmp_path / "lab", environ) as lab:
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        cells = [nbformat.v4.new_code_cell("%load_ext jupyter_gpu_ext")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), lab.work / "train.ipynb")
        found: dict[str, Any] = drive("inside.mjs", lab, HERE / ".artifacts" / "inside")
    check_table(found["table"])
    check_array(found["array"])
    check_map(found["array"])
    check_streams(found["array"])
    assert all(one.endswith("400 (Bad Request)") for one in found["problems"]), "only the wrong part is refused"


def check_table(table: dict[str, Any]) -> None:
    """Check the rows, the filter, the plan of a selection and the load that it became."""
    assert table["rows"] == str(LAYERS * 3 + 1)
    assert table["drawn"] < LAYERS * 3, "rows out of sight are not drawn"
    assert table["filtered"] == "4"
    assert table["largest"].endswith("proj.weight")
    assert "needs 33.0 kB" in table["cost"]
    assert " GB on GPU 0" in table["cost"]
    assert "in one request" in table["cost"]
    assert table["line"] == "%load_blob weights://llama/ -o llama --keys model.layers.1.*"
    assert "3 tensors on" in table["receipt"]


def check_array(array: dict[str, Any]) -> None:
    """Check the facts, the plan of a typed part and the cells that it became."""
    assert "time 48 × latitude 60 × longitude 120" in array["facts"]
    assert "216 chunks" in array["facts"]
    assert "60 × 120" in array["cost"]
    assert "x what you use" in array["cost"]
    assert "is no range" in array["wrong"]
    assert array["load"] == "%load_blob weights://t2m.zarr/t2m -o t2m --select latitude=60:50"
    assert array["xarray"].endswith('t2m_array = t2m["t2m"].sel(latitude=slice(60, 50))')


def check_map(array: dict[str, Any]) -> None:
    """Check the cells of the map, as they are counted and as they are said."""
    assert "reads 2.0x what you use" in array["cost"]
    assert array["map"] == {"cells": "216", "stored": "108", "missing": "108", "touched": "9", "touchedMissing": "0"}
    assert array["hole"]["touchedMissing"] == "9"
    assert "216 (24 × 3 × 3) chunks, 108 stored, 108 missing" in array["label"]


def check_streams(array: dict[str, Any]) -> None:
    """Check the streams that were inserted, and what their first batches were."""
    stream, tree = array["stream"], array["fromTree"]
    assert not stream["isOffered"], "one value has no samples"
    assert "a sample an entry of time" in stream["title"]
    part = "latitude=60:50, time=2020-01-01T00:2020-01-01T09"
    assert f'"weights://t2m.zarr", arrays=["t2m"], sample_axis="time", select="{part}")' in stream["source"]
    assert stream["output"].strip() == "{'t2m': (10, 20, 120)}"
    assert tree["group"].strip() == "{'t2m': (32, 60, 120)}"
    assert tree["chosen"].strip() == "{'t2m': (32, 60, 120)}"
    assert tree["alone"].strip() == "(32, 3)"
    assert "Array" in tree["opened"]
