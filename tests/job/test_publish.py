"""A release: the file, its origin and its hash, written once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError
from tests.conftest import azure_fields, write_connections
from tests.export.notebooks import code, script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store


@pytest.fixture(params=["azure", "local"])
def name(request: pytest.FixtureRequest, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A connection that may be written, of each kind."""
    del monkeypatch
    store: Store = request.getfixturevalue(f"{request.param}_store")
    if store.container is not None:
        fields = azure_fields(azurite, store.container.container_name)
    else:
        fields = {"root": str(store.folder)}
    write_connections(tmp_path / "connections.toml", **{store.name: {**fields, "read_only": False}})
    return store.name


def read(url: str) -> bytes:
    return bytes(jg.open(url).read())


def test_a_release_is_whole_and_can_be_checked(name: str) -> None:
    done = jg.publish({"w": np.arange(3.0)}, f"{name}://releases/1/", metadata={"accuracy": 0.9})
    folder = f"{name}://releases/1"
    assert (done.url, done.model) == (folder, "model.safetensors")
    sums = dict(line.split("  ")[::-1] for line in read(f"{folder}/SHA256SUMS").decode().splitlines())
    assert {file: hashlib.sha256(read(f"{folder}/{file}")).hexdigest() for file in sums} == sums
    assert sums["model.safetensors"] == done.sha256
    said = json.loads(read(f"{folder}/metadata.json"))
    assert said["metadata"] == {"accuracy": 0.9}
    assert jg.load(f"{folder}/model.safetensors", device="cpu")["w"].tolist() == [0, 1, 2]


def test_a_checkpoint_is_copied_as_it_is(name: str) -> None:
    jg.save({"w": np.ones(2)}, f"{name}://step9.safetensors")
    done = jg.publish(f"{name}://step9.safetensors", f"{name}://releases/2")
    assert done.model == "step9.safetensors"
    assert read(f"{name}://releases/2/step9.safetensors") == read(f"{name}://step9.safetensors")


def test_a_release_is_never_written_again(name: str) -> None:
    jg.publish({"w": np.ones(2)}, f"{name}://r")
    before = read(f"{name}://r/SHA256SUMS")
    with pytest.raises(ExistsError, match="already"):
        jg.publish({"w": np.zeros(2)}, f"{name}://r")
    assert read(f"{name}://r/SHA256SUMS") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metadata": {"x": object()}}, "no plain data"),
        ({"metadata": {"x": float("nan")}}, "no plain data"),
        ({"metadata": {"x": "AccountKey=" + "a" * 86 + "=="}}, "looks like a secret"),
        ({"name": "SHA256SUMS"}, "cannot be called"),
        ({"name": "a/b"}, "cannot be called"),
    ],
)
def test_bad_input_writes_nothing(local_store: Store, tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_connections(tmp_path / "connections.toml", disk={"root": str(local_store.folder), "read_only": False})
    with pytest.raises(BadRequestError, match=message):
        jg.publish({"w": np.ones(2)}, "disk://r", **options)  # type: ignore[arg-type]
    assert local_store.folder is not None
    assert list(local_store.folder.iterdir()) == []


def test_a_connection_to_read_from_is_refused(local_store: Store) -> None:
    with pytest.raises(DeniedError):
        jg.publish({"w": np.ones(2)}, f"{local_store.name}://r")


def test_a_script_notes_itself_and_its_parameters(local_store: Store, tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", disk={"root": str(local_store.folder), "read_only": False})
    text = script(
        code("lr = 0.1", "parameters"),
        "import numpy as np\nimport jupyter_gpu_ext as jg",
        "jg.publish({'w': np.ones(2) * lr}, 'disk://r')",
    )
    assert "first(jg.publish)" in text
    (tmp_path / "train.py").write_text(text)
    subprocess.run([sys.executable, str(tmp_path / "train.py"), "--skip-preflight", "--lr=2"], check=True)
    assert local_store.folder is not None
    said = json.loads((local_store.folder / "r" / "metadata.json").read_text())
    assert said["parameters"] == {"lr": 2.0}
    assert said["script"] == {"name": "train.py", "sha256": hashlib.sha256(text.encode()).hexdigest()}
