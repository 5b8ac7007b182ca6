"""Whose memory it is, over HTTP: real kernels with a child, named by a driver in each way that drivers count."""

from __future__ import annotations

import ctypes

import pytest

from jupyter_gpu_ext.server import kernels
from jupyter_gpu_ext.server.peaks import Peaks
from tests.conftest import write_connections
from tests.nvml.build import build
from tests.nvml.control import Control
from tests.server.live import environment, running, wait_until
from tests.server.notebook import Notebook

UUID = "GPU-fa4e0000-0000-4000-8000-000000000000"
MB = 10**6
CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
"""
# What torch would say in a kernel that uses the device.
TELL = f"""
%load_ext jupyter_gpu_ext
from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR, DeviceUse
used = DeviceUse(device="cuda:0", uuid={UUID!r}, reserved_bytes=300_000_000, allocated_bytes=200_000_000,
                 peak_bytes=350_000_000)
ACCELERATOR.in_use = lambda: (used,)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("driver")
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    ctypes.CDLL(str(build(folder)))
    control = Control(folder)
    with environment(FAKE_NVML=str(control.file), JUPYTER_GPU_SIMULATED=""), pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_FRESH_SECONDS", 0.2)
        yield control


@pytest.fixture(scope="module")
def server(driver, tmp_path_factory):
    with running(tmp_path_factory.mktemp("server")) as server:
        wait_until(lambda: server.get("/gpu/status").json["state"] == "ok")
        yield server


@pytest.fixture(scope="module")
def two(server, tmp_path_factory):
    """Two notebooks, the first with a child: (the first, its child's pid, the second)."""
    folder = tmp_path_factory.mktemp("two")
    write_connections(folder / "connections.toml", disk={"root": str(folder)})
    first, second = (Notebook(server, folder, path, JUPYTER_GPU_SIMULATED="") for path in ("a.ipynb", "b.ipynb"))
    assert first.cells.run(CHILD).status == "ok"
    yield first, first.cells.value("child.pid"), second
    for one in (first, second):
        one.close()


@pytest.fixture
def in_container(server):
    """Tell the server that it sees a container's numbers, which no test can make true."""
    processes = server.extension.kernels._processes
    before = processes._is_host

    def tell(value):
        processes._is_host = value

    yield tell
    processes._is_host = before


@pytest.mark.parametrize(
    ("regime", "container", "how"),
    [("host", False, "pid"), ("translated", True, "namespace_pid")],
)
def test_two_notebooks_on_one_device_each_with_its_own(driver, two, in_container, regime, container, how):
    first, child, second = two
    in_container(not container)
    driver.set("pids", regime)
    others = 2**22 + 7
    numbers = [first.pid, child, second.pid] if regime == "host" else [others - 1, others - 2, others - 3]
    inner = [first.pid, child, second.pid]
    sizes = [500 * MB, 200 * MB, 900 * MB]
    rows = [f"{number}/{pid}:{size}" for number, pid, size in zip(numbers, inner, sizes, strict=True)]
    driver.set("compute 0", ",".join([*rows, f"{others}:{7 * MB}"]))
    row = first.wait_for(lambda row: [(one["bytes"], one["how"]) for one in row["uses"]] == [(700 * MB, how)])
    assert row["uses"] == [
        {
            "uuid": UUID, "device": None, "bytes": 700 * MB, "peak_bytes": 700 * MB, "cached_bytes": None, "how": how,
        }
    ]  # fmt: skip
    assert [(one["bytes"], one["how"]) for one in second.row()["uses"]] == [(900 * MB, how)]
    assert str(others) not in str(first.server.get("/gpu/status").json)


def test_numbers_of_the_host_in_a_container_are_nobodys(driver, two, in_container):
    first, _, second = two
    in_container(False)
    driver.set("pids", "host")
    # One of them is by chance the number that a notebook has here.
    driver.set("compute 0", f"{first.pid}:{500 * MB},{2**22 + 7}:{900 * MB}")
    first.wait_for(lambda row: row["uses"] == [])
    assert second.row()["uses"] == []


def test_a_driver_that_names_and_does_not_count(driver, two, in_container):
    first, child, second = two
    in_container(False)
    driver.set("pids", "namespace")
    driver.set("compute 0", f"5000/{first.pid}:1,5001/{child}:1")
    row = first.wait_for(lambda row: row["uses"])
    assert [(one["uuid"], one["bytes"], one["how"]) for one in row["uses"]] == [(UUID, None, "namespace_pid")]
    assert second.row()["uses"] == []
    assert first.rungs()["restart"] is None


def test_driver_and_notebook_in_one_row_with_the_peak(driver, two, in_container, server):
    first, child, _ = two
    assert first.cells.run(TELL).status == "ok"
    in_container(True)
    driver.set("pids", "host")
    driver.set("compute 0", f"{first.pid}:{500 * MB},{child}:{100 * MB}")
    first.linked()
    row = first.wait_for(lambda row: row["uses"] and row["uses"][0]["bytes"] == 600 * MB and row["uses"][0]["device"])
    (use,) = row["uses"]
    # The run's most is that of the tests before: its kernel is the same.
    assert use == {
        "uuid": UUID, "device": "cuda:0", "bytes": 600 * MB, "peak_bytes": use["peak_bytes"],
        "cached_bytes": 100 * MB, "how": "pid",
    }  # fmt: skip
    assert use["peak_bytes"] >= 650 * MB
    assert first.rungs()["restart"] == first.rungs()["shutdown"] == 600 * MB


def test_what_a_notebook_held_outlives_the_server(driver, two, in_container, server):
    first, *_ = two
    in_container(True)
    driver.set("pids", "host")
    driver.set("compute 0", f"{first.pid}:{1000 * MB}")
    first.wait_for(lambda row: row["uses"] and row["uses"][0]["bytes"] == 1000 * MB)
    server.call(server.extension.peaks.save)
    again = Peaks(server.extension.peaks._file.parent, server.app.root_dir)
    assert again.of("a.ipynb")[UUID] >= 1000 * MB


def test_a_child_that_ended_holds_nothing(driver, two, in_container):
    first, child, _ = two
    in_container(True)
    driver.set("pids", "host")
    driver.set("compute 0", f"{first.pid}:{500 * MB},{child}:{200 * MB}")
    first.wait_for(lambda row: row["uses"] and row["uses"][0]["bytes"] == 700 * MB)
    first.cells.run("child.stdin.close(); child.wait()")
    first.wait_for(lambda row: row["uses"] and row["uses"][0]["bytes"] == 500 * MB)
    driver.unset("compute 0")
