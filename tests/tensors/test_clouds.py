"""Each format from each kind of storage: the same value as from a local file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp

import jupyter_gpu_ext as jg
from tests.conftest import write_connections
from tests.storage.clouds import S3_KEYS, S3Store, new_bucket, running_moto, s3_fields
from tests.tensors.same import assert_same
from tests.tensors.test_folders import files
from tests.tensors.test_legacy import legacy
from tests.tensors.test_numpy_files import npy, npz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Store


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    with running_moto() as port:
        yield port


@pytest.fixture(params=["azure", "s3", "http"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store, and a connection of its name to read from."""
    if request.param == "azure":
        return request.getfixturevalue("azure_store")
    store = new_bucket("cloud", request.getfixturevalue("moto"))
    monkeypatch.setenv("TEST_S3_KEYS", ":".join(S3_KEYS))
    fields = s3_fields(store)
    if request.param == "http":
        fields = {"root": f"http://127.0.0.1:{store.port}/{store.bucket}"}
    write_connections(tmp_path / "connections.toml", cloud=fields)
    return store


def corpus(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return a checkpoint of each format, by what to open and its objects."""
    torch.manual_seed(0)
    state = {"w": torch.randn(300, 100), "n": [torch.arange(4)]}
    dcp.save(state, checkpoint_id=folder)
    arrays = {"a": np.arange(30_000.0).reshape(100, 300), "b": np.arange(3, dtype=">i2")}
    return {
        "st/model.safetensors.index.json": {f"st/{name}": data for name, data in files().items()},
        "bin/pytorch_model.bin.index.json": {f"bin/{name}": data for name, data in files("bin").items()},
        "x.npy": {"x.npy": npy(arrays["a"])},
        "x.npz": {"x.npz": npz(**arrays)},
        "packed.npz": {"packed.npz": npz(True, **arrays)},
        "x.pth": {"x.pth": legacy(state)},
        "dcp/.metadata": {f"dcp/{path.name}": path.read_bytes() for path in folder.iterdir()},
    }


@pytest.mark.filterwarnings("ignore")
def test_the_same_from_everywhere(cloud: Store, tmp_path: Path) -> None:
    for key, objects in corpus(tmp_path / "saved").items():
        for name, data in objects.items():
            cloud.put(name, data)
            if isinstance(cloud, S3Store):
                # For those who ask by a web address.
                cloud.client.put_object_acl(Bucket=cloud.bucket, Key=name, ACL="public-read")
            path = tmp_path / "local" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        local = jg.load(str(tmp_path / "local" / key), device="cpu")
        assert_same(jg.load(f"{cloud.name}://{key}", device="cpu"), local)
        here, there = (jg.info(url).file for url in (str(tmp_path / "local" / key), f"{cloud.name}://{key}"))
        assert list(here.tensors) == list(there.tensors)
