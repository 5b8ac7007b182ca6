from __future__ import annotations

import os

import numpy as np
import pytest
import safetensors.numpy
from jupyter_client.manager import start_new_kernel

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections
from tests.magics.cells import Cells
from tests.magics.proxy import SlowProxy


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Replace pytest-jupyter's: no test here has a server."""


@pytest.fixture(scope="package")
def proxy(azurite):
    proxy = SlowProxy(azurite.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="package")
def stores(tmp_path_factory, azurite, proxy):
    """Write the connections disk:// (a folder) and slow:// (Azurite behind the proxy); give the folder."""
    folder = tmp_path_factory.mktemp("stores")
    small = safetensors.numpy.save({"w": np.ones((4, 3), np.float32), "b": np.zeros(3, np.float32)})
    for name in ("net.safetensors", "os.safetensors", "list.safetensors", "my file.safetensors"):
        (folder / name).write_bytes(small)
    (folder / "broken.safetensors").write_bytes(small[:40])
    container = azurite.new_container()
    for name, megabytes in (("big", 12), ("small", 1)):
        tensors = {"w": np.zeros(megabytes * 250_000, np.float32)}
        container.upload_blob(f"{name}.safetensors", safetensors.numpy.save(tensors))
    slow = azure_fields(azurite, container.container_name)
    slow |= {"endpoint": f"http://127.0.0.1:{proxy.port}/{AZURITE_ACCOUNT}"}
    (folder / "out").mkdir()
    out = {"root": str(folder / "out"), "read_only": False}
    write_connections(folder / "connections.toml", disk={"root": str(folder)}, slow=slow, out=out)
    return folder


@pytest.fixture(scope="package")
def kernel(stores):
    """Start one kernel for all tests of the room; give its manager."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "JUPYTER_GPU_"))}
    environ |= {
        "JUPYTER_GPU_CONNECTIONS": str(stores / "connections.toml"),
        "JUPYTER_GPU_SIMULATED": "1xL4",
        KEY_VARIABLE: AZURITE_KEY,
    }
    manager, client = start_new_kernel(env=environ)
    client.stop_channels()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="package")
def started(kernel):
    cells = Cells(kernel.connection_file)
    assert cells.run("%load_ext jupyter_gpu_ext").status == "ok"
    yield cells
    cells.close()


@pytest.fixture
def cells(started, proxy):
    """The room's kernel, with an empty namespace and a fast network."""
    proxy.bytes_per_second = float("inf")
    assert started.run(EMPTY).status == "ok"
    return started


# `%reset -f` takes half a second.
EMPTY = """
for _name in [_name for _name in dir() if not _name.startswith("_")]:
    if _name not in ("In", "Out", "exit", "quit", "get_ipython", "open"):
        del globals()[_name]
for _name in ("_", "__", "___"):
    # IPython keeps them no more once somebody else bound one.
    globals().pop(_name, None)
Out.clear()
"""
