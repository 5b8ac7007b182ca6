"""A server where parts are missing, in a process of its own: what is left works, and nothing heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import safetensors.numpy

from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections

HEAVY = ("torch", "zarr", "adlfs", "obstore", "pynvml", "azure")
MODEL = safetensors.numpy.save({"w": np.zeros((2, 2), np.float32)})

PROGRAM = """
import json, sys
from importlib.abc import MetaPathFinder
from pathlib import Path

blocked, heavy, folder, asked = json.loads(sys.argv[1])

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from tests.server.live import running, wait_until

with running(Path(folder)) as server:
    wait_until(lambda: server.get("/gpu/status").json["state"] != "starting")
    replies = {}
    for path, arguments in asked:
        reply = server.request("GET", path, arguments)
        replies[path] = replies.get(path, []) + [[reply.status, reply.body.decode(errors="replace")]]
imported = sorted({name.partition(".")[0] for name in sys.modules} & set(heavy))
print("RESULT" + json.dumps([replies, imported]))
"""


def served(tmp_path, blocked=(), **variables):
    """Ask everything of a server in a new process; return the replies and the heavy modules that it imported."""
    root = tmp_path / "server" / "root"
    root.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")]), root / "train.ipynb")
    api = "/jupyter-gpu-ext/api"
    asked = [("/api/nbconvert", ""), ("/nbconvert/trainscript/train.ipynb", ""), (f"{api}/gpu/status", "")]
    asked.append((f"{api}/storage/connections", ""))
    for name in ("disk", "cloud"):
        asked.append((f"{api}/storage/list", f"connection={name}"))
        asked += [
            (f"{api}/{path}", f"connection={name}&key=m.safetensors")
            for path in ("storage/object", "tensors/info", "tensors/plan")
        ]
    # An empty file stands in for a missing driver, so that a real one is not found either.
    (tmp_path / "libnvidia-ml.so.1").touch()
    environ = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "JUPYTER_GPU_SIMULATED": "", **variables}
    command = [sys.executable, "-c", PROGRAM, json.dumps([blocked, HEAVY, str(tmp_path / "server"), asked])]
    place = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr[-3000:]
    replies, heavy = json.loads(done.stdout.rpartition("RESULT")[2])
    return {path.removeprefix(api): found for path, found in replies.items()}, heavy


@pytest.fixture
def stores(tmp_path, azurite):
    """The same file in a folder and in the cloud."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "m.safetensors").write_bytes(MODEL)
    container = azurite.new_container()
    container.upload_blob("m.safetensors", MODEL)
    cloud = azure_fields(azurite, container.container_name)
    write_connections(tmp_path / "connections.toml", disk={"root": str(tmp_path / "disk")}, cloud=cloud)


def test_a_server_never_imports_torch(tmp_path, stores):
    replies, heavy = served(tmp_path, **{KEY_VARIABLE: AZURITE_KEY})
    assert {path: [status for status, _ in found] for path, found in replies.items()} == {
        "/api/nbconvert": [200],
        "/nbconvert/trainscript/train.ipynb": [200],
        "/gpu/status": [200],
        "/storage/connections": [200],
        "/storage/list": [200, 200],
        "/storage/object": [200, 200],
        "/tensors/info": [200, 200],
        "/tensors/plan": [200, 200],
    }
    assert not {"torch", "zarr"} & set(heavy)
    status = json.loads(replies["/gpu/status"][0][1])
    assert status["state"] == "no_gpu"
    assert "libnvidia-ml.so.1" in status["reason"]
    assert status["hint"]


def test_the_list_of_formats_is_there_where_everything_heavy_raises(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in HEAVY:
        (broken / f"{name}.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    path = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    replies, _ = served(tmp_path, PYTHONPATH=path)
    ((status, exporters),) = replies["/api/nbconvert"]
    assert status == 200
    assert {"trainscript", "html", "python"} <= set(json.loads(exporters))
    ((status, script),) = replies["/nbconvert/trainscript/train.ipynb"]
    assert status == 200
    assert "x = 1" in script


def test_export_and_folders_work_where_everything_heavy_is_missing(tmp_path, stores):
    replies, heavy = served(tmp_path, HEAVY, **{KEY_VARIABLE: AZURITE_KEY})
    assert heavy == []
    (exporters,) = replies["/api/nbconvert"]
    assert exporters[0] == 200
    assert "trainscript" in json.loads(exporters[1])
    (script,) = replies["/nbconvert/trainscript/train.ipynb"]
    assert script[0] == 200
    assert "x = 1" in script[1]
    for path in ("/storage/list", "/storage/object", "/tensors/info", "/tensors/plan"):
        disk, cloud = replies[path]
        assert disk[0] == 200, disk
        # What is missing is the cloud's error, not a surprise of the server.
        assert cloud[0] in (501, 502), cloud
        assert set(json.loads(cloud[1])) == {"code", "message", "hint"}
    (status,) = replies["/gpu/status"]
    assert status[0] == 200
    assert json.loads(status[1])["state"] == "blocked"
