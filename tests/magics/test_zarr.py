"""`%load_blob` of Zarr: options, what it says, Cancel; and that the exported script does the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from tests.export.notebooks import script

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def values(stores: Path) -> np.ndarray:
    values = np.arange(60, dtype="i2").reshape(6, 10)
    attributes = {"scale_factor": 0.5, "add_offset": 10, "units": "K", "long_name": "2 metre temperature"}
    array = zarr.create_array(stores / "t2m.zarr", shape=values.shape, chunks=(2, 4), dtype="i2", attributes=attributes)
    array[...] = values
    group = zarr.open_group(stores / "era5.zarr", mode="w")
    for name in ("x", "y"):
        group.create_array(name, shape=(3,), chunks=(2,), dtype="f4")[...] = 1
    return values


def test_an_array_is_one_tensor(cells, values):
    outcome = cells.run("%load_blob disk://t2m.zarr")
    assert outcome.said.startswith("t2m = tensor 6×10 float64 on cpu (counted on a simulated GPU), 480 B (")
    assert cells.value("t2m.tolist()") == (values * 0.5 + 10).tolist()
    assert cells.run("%load_blob disk://t2m.zarr --select '1:-1, ::3' --raw -o some").status == "ok"
    assert cells.value("some.tolist()") == values[1:-1, ::3].tolist()
    assert cells.value("str(some.dtype)") == "torch.int16"
    outcome = cells.run("half = %load_blob disk://t2m.zarr --select -1 --dtype bf16")
    assert "tensor 10 bfloat16 on" in outcome.said
    assert cells.value("tuple(half.shape)") == (10,)


def test_a_group_is_a_dict(cells, values):
    assert "era5 = 2 tensors on" in cells.run("%load_blob disk://era5.zarr").said
    assert cells.value("list(era5)") == ["x", "y"]
    cells.run("%load_blob disk://era5.zarr --keys '!x'")
    assert cells.value("list(era5)") == ["y"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("%blob info disk://t2m.zarr", "6 × 10  chunks 2×4, zstd, K, 2 metre temperature"),
        ("%blob plan disk://t2m.zarr --select 0:2", "t2m.zarr 2 × 10 float64: 3 objects, 3 requests, reads "),
    ],
)
def test_what_is_asked_is_shown(cells, values, line, shown):
    assert shown in cells.run(line).result


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%load_blob disk://t2m.zarr --select 0:2,:,:", "t2m.zarr has 2 axes, the selection has 3."),
        ("%load_blob disk://t2m.zarr --select time=2020", "has no dimension 'time'."),
        ("%load_blob disk://net.safetensors --raw", "--raw is for Zarr arrays"),
        ("%blob plan disk://net.safetensors --select 1", "--select is for Zarr arrays"),
        ("%load_blob disk://t2m.zarr --cache", "whose chunks are not kept."),
    ],
)
def test_a_mistake_is_one_line(cells, values, line, said):
    outcome = cells.run(line)
    assert outcome.status == "error"
    assert said in outcome.traceback[0]
    assert len(outcome.traceback) == 1
    assert "t2m" not in cells.value("dir()")


def test_a_sample_is_a_store(cells, values, tmp_path):
    outcome = cells.run(f"import zarr\n%blob sample disk://t2m.zarr {tmp_path}/to.zarr --select 1:4,5")
    assert outcome.said.startswith(f"{tmp_path}/to.zarr: 1 array, 6 B of 120 B; read ")
    assert outcome.result is None
    assert zarr.open_array(tmp_path / "to.zarr", mode="r")[...].tolist() == values[1:4, 5:6].tolist()
    outcome = cells.run(f"%blob sample disk://t2m.zarr {tmp_path}/to.zarr")
    assert outcome.traceback[0].endswith("Choose another name, or replace it: --overwrite (overwrite=True).")
    assert len(outcome.traceback) == 1
    line = f"said = %blob sample disk://t2m.zarr {tmp_path}/to.zarr --overwrite --max-bytes 16"
    assert "axis 0 0:2 of 6" in cells.run(line).said
    assert cells.value("said.count") == 1


def test_the_exported_script_does_the_same(cells, stores, values, tmp_path):
    lines = "%load_blob disk://t2m.zarr --select '::-2, 3' --raw -d cpu\nprint(t2m.tolist())"
    kept = cells.run(lines)
    made = tmp_path / "made.py"
    made.write_text(script("%load_ext jupyter_gpu_ext", lines), encoding="utf-8")
    assert 'select="::-2, 3", raw=True' in made.read_text(encoding="utf-8")
    environ = {**os.environ, "JUPYTER_GPU_CONNECTIONS": str(stores / "connections.toml")}
    done = subprocess.run([sys.executable, str(made)], capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(values[::-2, 3].tolist())
    assert done.stdout in kept.stdout
