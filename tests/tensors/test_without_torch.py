"""A kernel without torch: arrays that equal the tensors, said aloud; refused where only torch has the type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.tensors.files import torch_bytes
from tests.tensors.test_folders import files
from tests.tensors.test_legacy import legacy
from tests.tensors.test_numpy_files import npz

PROGRAM = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.tensors.loader import load_named
def plain(value):
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), value.tobytes().hex()]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value
for path, options in json.loads(sys.argv[1]):
    try:
        value, receipt = load_named(path, **options)
        print(json.dumps([plain(value), str(receipt)]))
    except GpuExtError as error:
        print(json.dumps([None, str(error)]))
"""


def loads(*asked: tuple[Path, dict[str, Any]]) -> list[tuple[Any, str]]:
    request = json.dumps([(str(path), options) for path, options in asked])
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, request],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def expected(array: np.ndarray) -> list[Any]:
    return [str(array.dtype), list(array.shape), array.tobytes().hex()]


def test_arrays_in_place_of_tensors(tmp_path: Path) -> None:
    base = torch.arange(1000, dtype=torch.float64)
    state = {"w": base[5:500:7], "t": base[:100].reshape(10, 10).t(), "e": torch.empty(0, 3), "n": [torch.arange(3), 5]}
    contents = {
        "x.pt": torch_bytes(state),
        "x.pth": legacy(state),
        "x.safetensors": safetensors.torch.save({"a": torch.randn(3, 4), "h": torch.randn(3).half()}),
        "x.npz": npz(True, a=np.arange(6.0).reshape(2, 3), b=np.arange(3, dtype=">i2")),
        **files(),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    names = ["x.pt", "x.pth", "x.safetensors", "x.npz", "model.safetensors.index.json"]
    found = dict(zip(names, loads(*((tmp_path / name, {}) for name in names)), strict=True))
    assert all("NumPy arrays, since torch is not installed" in said for _, said in found.values())
    for name in ("x.pt", "x.pth"):
        value = found[name][0]
        assert value["w"] == expected(state["w"].numpy())
        assert value["t"] == expected(state["t"].numpy())
        assert value["e"] == expected(state["e"].numpy())
        assert value["n"] == [expected(state["n"][0].numpy()), 5]
    theirs = safetensors.torch.load(contents["x.safetensors"])
    assert found["x.safetensors"][0] == {name: expected(one.numpy()) for name, one in theirs.items()}
    assert found["x.npz"][0]["b"] == expected(np.arange(3, dtype="<i2"))
    assert len(found["model.safetensors.index.json"][0]) == 6


@pytest.mark.filterwarnings("ignore")
def test_what_only_torch_has(tmp_path: Path) -> None:
    (tmp_path / "half.pt").write_bytes(torch_bytes({"c": torch.zeros(2, dtype=torch.complex32)}))
    (tmp_path / "sparse.pt").write_bytes(torch_bytes({"s": torch.eye(2).to_sparse()}))
    (tmp_path / "x.pt").write_bytes(torch_bytes({"w": torch.ones(2)}))
    asked = [
        (tmp_path / "half.pt", {}),
        (tmp_path / "sparse.pt", {}),
        (tmp_path / "x.pt", {"device": "cuda:0"}),
        (tmp_path / "x.pt", {"dtype": "float16"}),
    ]
    said = [message for value, message in loads(*asked) if value is None]
    assert len(said) == 4
    assert "complex32" in said[0]
    assert "_rebuild_sparse_tensor" in said[1]
    assert all("torch" in message for message in said[2:])


def test_bfloat16_by_ml_dtypes_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(torch_bytes({"w": torch.arange(4).bfloat16()}))
    ((value, said),) = loads((tmp_path / "x.pt", {}))
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        assert value is None
        assert "ml_dtypes" in said
    else:
        assert value["w"][0] == "bfloat16"
