"""What the panels insert for Zarr stores runs as it stands, and gives what zarr-python reads."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
import zarr
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import jupyter_gpu_ext as jg
from tests.conftest import HERE, Store
from tests.tensors.views import entity, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PANELS = HERE.parent / "labextension"
INDEX = {"": (), "5:25, :, ::2": np.s_[5:25, :, ::2], "3, 1:": np.s_[3, 1:], "..., 0": np.s_[..., 0]}
LABELS = {"latitude=60:40": np.s_[:, :3], "time=2020-01-02": np.s_[4:8], "time=2020-01-02T06:00": np.s_[5]}


def weather(path: Path, version: int, **encoding: Any) -> None:
    """Write a store as xarray does, with a mask that has no time."""
    dims = ("time", "latitude", "longitude")
    values = np.random.default_rng(0).random((40, 6, 8), "f4")
    fields = {"t2m": (dims, values), "u10": (dims, values + 1), "mask": (dims[1:], values[0] > 0.5)}
    times = np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h")
    labels = {"time": times, "latitude": np.linspace(60, 10, 6), "longitude": np.arange(8.0)}
    hours = {"time": {"units": "hours since 2020-01-01"}}
    data = xr.Dataset(fields, labels)
    data.to_zarr(path, zarr_format=version, consolidated=version == 2, encoding={**hours, **encoding})


def half_named(path: Path) -> None:
    """Write a store that xarray does not open for one array of it."""
    weather(path, 3)
    zarr.open_group(path, mode="a").create_array("sheet", shape=(9, 2), chunks=(4, 2), dtype="i4")


def mixed(path: Path) -> None:
    """Write arrays of which not all belong together, without names of axes, and one that is not read."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, shape in {"x": (20, 3, 2), "y": (20,), "other": (7, 2)}.items():
        array = group.create_array(name, shape=shape, chunks=(4, *shape[1:]), dtype="f4")
        array[...] = np.random.default_rng(1).random(shape, "f4")
    group.create_array("text", shape=(20,), chunks=(4,), dtype="str")
    group.create_array("deep/er x[0]", shape=(9, 2), chunks=(4, 2), dtype="i4")[...] = np.arange(18).reshape(9, 2)


def alone(version: int, **more: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        array = zarr.create_array(path, shape=(40, 6, 8), chunks=(4, 3, 8), dtype="f4", zarr_format=version, **more)
        array[...] = np.random.default_rng(2).random((40, 6, 8), "f4")

    return write


def same_name(path: Path) -> None:
    zarr.open_group(path, mode="w").create_array(path.name, shape=(9, 2), chunks=(4, 2), dtype="i4")


STORES: dict[str, Callable[[Path], None]] = {
    "a/v2 it.zarr": lambda path: weather(path, 2),
    "v3.zarr": lambda path: weather(path, 3),
    "shards.zarr": lambda path: weather(path, 3, t2m={"chunks": (4, 3, 8), "shards": (20, 6, 8)}),
    "sheet.zarr": half_named,
    "mixed": mixed,
    "alone2.zarr": alone(2),
    "alone3.zarr": alone(3, dimension_names=("time", "latitude", "longitude")),
    "alone": alone(3, shards=(8, 6, 8)),
    "same": same_name,
}
ALONE = ("alone2.zarr", "alone3.zarr", "alone")


@dataclass(frozen=True)
class Case:
    """One click, and what it should give: arrays by name, with the samples in front; None: nothing is offered."""

    asked: dict[str, Any]
    expected: dict[str, np.ndarray] | None


def cases_of(store: Store, key: str, path: Path) -> Iterator[Case]:
    """Return the clicks on one store."""
    url = f"{store.name}://{key}"
    file = jg.info(url).to_json()
    read = {one["name"]: array_at(path, key, one["name"]) for one in file["tensors"] if not one["unreadable"]}
    common = {"connection": store.name, "key": f"{key}/", "file": file}
    yield Case({**common, "from": "tree", "as": "stream"}, together(key, read))
    yield Case({**common, "from": "tree", "as": "xarray"}, {})
    view = opened(url)
    for name, values in read.items():
        about = entity(view, f"/{name}")
        beside = entity(view, f"/{name}".rpartition("/")[0] or "/")["children"]
        for select, items in INDEX.items() if values.ndim == 3 else [("", ())]:
            part = {**common, "name": name, "select": select}
            named = {} if key in ALONE else {"keys": [glob(name)]}
            plan = jg.plan(url, select=select, **named).to_json()
            yield Case({**part, "from": "inside", "as": "stream", "plan": plan}, {name: values[items]})
            yield Case({**part, "from": "inside", "as": "xarray"}, {})
            seen = {**part, "from": "viewer", "entity": about, "siblings": beside, "isAlone": key in ALONE}
            yield Case({**seen, "as": "stream"}, {name: values[items]})
            yield Case({**seen, "as": "xarray"}, {})
        for select, items in LABELS.items() if name == "t2m" else []:
            plan = jg.plan(url, keys=[name], select=select).to_json()
            asked = {**common, "from": "inside", "name": name, "select": select, "plan": plan}
            yield Case({**asked, "as": "stream"}, {name: values[items]})
            yield Case({**asked, "as": "xarray"}, {})


def glob(name: str) -> str:
    return name.replace("[", "[[]")


def array_at(path: Path, key: str, name: str) -> np.ndarray:
    """Return an array as zarr-python reads it."""
    found = zarr.open(path, mode="r")
    array = found if key in ALONE else found[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


def together(key: str, read: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a click in the tree streams."""
    if key in ALONE or key == "same":
        return read
    return {name: read[name] for name in (("x", "y") if key == "mixed" else ("t2m", "u10"))}


def inserted(cases: list[Case]) -> list[str | None]:
    """Return the cells for some clicks, as the panels' own code writes them."""
    done = subprocess.run(
        ["node", "--import", "tsx", "test/inserted.ts"],
        cwd=PANELS,
        input=json.dumps([case.asked for case in cases]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def check_samples(stream: jg.ZarrStream, expected: dict[str, np.ndarray], source: str) -> None:
    """Check that an epoch has each sample once, whatever their order."""
    batches = list(stream)
    for name, values in expected.items():
        got = np.concatenate([np.asarray(one[name] if isinstance(one, dict) else one) for one in batches])
        assert got.shape == values.shape, source
        assert sorted(got.reshape(len(got), -1).tolist()) == sorted(values.reshape(len(values), -1).tolist()), source
    if isinstance(batches[0], dict):
        assert set(batches[0]) == set(expected), source


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
@pytest.mark.parametrize("key", STORES)
def test_what_is_inserted_runs(azure_store: Store, tmp_path: Path, key: str) -> None:
    path = tmp_path / "made" / key
    STORES[key](path)
    for file in path.rglob("*"):
        if file.is_file():
            azure_store.put(f"{key}/{file.relative_to(path).as_posix()}", file.read_bytes())
    cases = list(cases_of(azure_store, key, path))
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    streams = 0
    for case, source in zip(cases, inserted(cases), strict=True):
        if source is None:
            assert case.asked["as"] == "xarray", case.asked
            continue
        done = shell.run_cell(source)
        assert done.success, f"{source}\n{done.error_before_exec or done.error_in_exec!r}"
        if case.asked["as"] == "stream":
            assert case.expected is not None
            check_samples(shell.user_ns["stream"], case.expected, source)
            streams += 1
    assert streams > 2
