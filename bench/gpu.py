"""Telemetry: what an open GPU panel costs everybody else on the server; ours beside what people use today.

Run by `make bench`, or `python -m bench.gpu [server] [sample]` for parts of it. The devices are those of the fake
driver library of the tests; its PCIe query takes 20 ms, as NVIDIA documents, its other queries nothing.
"""

from __future__ import annotations

import ctypes
import http.client
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench import panels
from bench.turns import measure
from jupyter_gpu_ext.gpu.nvml import NvmlBackend
from tests.conftest import free_port
from tests.nvml.build import build
from tests.nvml.control import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

DEVICES, CLIENTS = 8, 10
ROUNDS, ROUND_SECONDS = int(os.environ.get("ROUNDS", "7")), 2.5
PCIE_MILLISECONDS = 20
TOKEN = "bench"
# nvitop remembers what it read for a second; a program that samples every second asks anew each time.
REST_SECONDS = 1.1
PEER = "jupyterlab_nvdashboard"


@dataclass
class Server:
    """A Jupyter Server in a process of its own."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass
class Answers:
    """What GET /api/status took in one way, a number a round, in milliseconds; and the server's processor time."""

    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    cpu_ratio: list[float] = field(default_factory=list)


def say(title: str, lines: list[str]) -> None:
    """Print a table."""
    print("\n".join(["", f"### {title}", "", *lines]), flush=True)


@contextmanager
def serving(folder: Path, *options: str, extension: str = "") -> Iterator[Server]:
    """Run a server with one extension, or with none."""
    folder.mkdir()
    port = free_port()
    environ = {**os.environ, "JUPYTER_NO_CONFIG": "1", "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_GPU_SIMULATED": ""}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += ["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"]
    command += [f"--ServerApp.jpserver_extensions={extension}=True"] if extension else []
    with (folder / "log").open("wb") as log, subprocess.Popen([*command, *options], env=environ, stderr=log) as process:
        try:
            _wait_for(port)
            yield Server(port, psutil.Process(process.pid))
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            _get_status(http.client.HTTPConnection("127.0.0.1", port, timeout=5))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start")


def _get_status(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/api/status", headers={"Authorization": f"token {TOKEN}"})
    reply = client.getresponse()
    reply.read()
    if reply.status != 200:
        raise RuntimeError(f"/api/status answered {reply.status}")


def ask(server: Server, look: AbstractContextManager[None], answers: Answers) -> None:
    """Ask one round of questions while somebody looks."""
    with look:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        begun, cpu, seconds = time.perf_counter(), server.cpu_seconds(), []
        while time.perf_counter() - begun < ROUND_SECONDS:
            asked = time.perf_counter()
            _get_status(client)
            seconds.append(time.perf_counter() - asked)
            time.sleep(0.01)
        took, used = time.perf_counter() - begun, server.cpu_seconds() - cpu
    ordered = sorted(1000 * one for one in seconds)
    answers.p50.append(statistics.median(ordered))
    answers.p95.append(ordered[int(0.95 * (len(ordered) - 1))])
    answers.most.append(ordered[-1])
    answers.cpu_ratio.append(used / took)


def server_table(folder: Path) -> list[str]:
    """Return the table of GET /api/status."""
    with ExitStack() as stack:
        serve = partial(_entered, stack, folder)
        plain, ours = serve("plain"), serve("ours", extension="jupyter_gpu_ext")
        link = serve("link", "--GpuExtension.pcie_throughput=True", extension="jupyter_gpu_ext")
        ways: dict[str, Callable[[Answers], None]] = {
            "no GPU extension": lambda to: ask(plain, nullcontext(), to),
            "jupyter_gpu_ext, no panel open": lambda to: ask(ours, nullcontext(), to),
            f"jupyter_gpu_ext, {CLIENTS} panels": lambda to: ask(ours, _panels(ours), to),
            f"jupyter_gpu_ext, {CLIENTS} panels, PCIe read": lambda to: ask(link, _panels(link), to),
        }
        if importlib.util.find_spec(PEER):
            theirs = serve("theirs", extension=PEER)
            for count in (1, CLIENTS):
                ways[f"nvdashboard, GPU Resources open {count}×"] = lambda to, count=count: ask(
                    theirs, panels.opened(panels.charts, theirs.port, TOKEN, count), to
                )
        else:
            print(f"{PEER} is not installed: left out. `pip install --no-deps -r requirements/bench.txt`")
        return _server_rows(_take_turns(ways))


def _entered(stack: ExitStack, folder: Path, name: str, *options: str, extension: str = "") -> Server:
    return stack.enter_context(serving(folder / name, *options, extension=extension))


def _panels(server: Server) -> AbstractContextManager[None]:
    return panels.opened(panels.polling, server.port, TOKEN, CLIENTS)


def _take_turns(ways: Mapping[str, Callable[[Answers], None]]) -> dict[str, Answers]:
    found = {name: Answers() for name in ways}
    for round_number in range(-1, ROUNDS):
        for name, way in ways.items():
            way(found[name] if round_number >= 0 else Answers())
    return found


def _server_rows(found: Mapping[str, Answers]) -> list[str]:
    lines = [
        "| server | p50 ms | p95 ms | most ms | p95 by round | a core's time |",
        "| --- | ---: | ---: | ---: | :--- | ---: |",
    ]
    for name, own in found.items():
        middle = f"{statistics.median(own.p50):.1f} | {statistics.median(own.p95):.1f} | {max(own.most):.0f}"
        spread = f"{min(own.p95):.1f} to {max(own.p95):.1f}"
        lines.append(f"| {name} | {middle} | {spread} | {100 * statistics.median(own.cpu_ratio):.0f} % |")
    return lines


def sample_table(control: Control, library: Path) -> list[str]:
    """Return the table of one reading of all devices."""
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    ctypes.CDLL(str(library))
    backend, with_link = NvmlBackend(), NvmlBackend(pcie_throughput=True)
    ways: dict[str, Callable[[], Any]] = {
        "jupyter_gpu_ext: all metrics and processes": backend.sample,
        "jupyter_gpu_ext: PCIe throughput too": with_link.sample,
    }
    if importlib.util.find_spec("nvitop"):
        from nvitop import Device

        devices = Device.all()
        ways["nvitop: as_snapshot, with PCIe throughput"] = lambda: [device.as_snapshot() for device in devices]
        ways["nvitop: processes too"] = lambda: [(device.as_snapshot(), device.processes()) for device in devices]
    else:
        print("nvitop is not installed: left out. `pip install --no-deps -r requirements/bench.txt`")
    for way in ways.values():
        way()
    calls = {name: _calls(control, way) for name, way in ways.items()}
    timings = _rested(ways)
    backend.close()
    with_link.close()
    lines = ["| reading of 8 devices | ms | from, to | CPU ms | NVML calls |", "| --- | ---: | :--- | ---: | ---: |"]
    for name, own in timings.items():
        ordered = sorted(1000 * one for one in own.seconds)
        middle, cpu = statistics.median(ordered), 1000 * statistics.median(own.cpu_seconds)
        lines.append(f"| {name} | {middle:.1f} | {ordered[0]:.1f}, {ordered[-1]:.1f} | {cpu:.1f} | {calls[name]} |")
    return lines


def _calls(control: Control, way: Callable[[], Any]) -> int:
    time.sleep(REST_SECONDS)
    control.set("calls", str(control.calls_file))
    before = control.calls().total()
    way()
    control.unset("calls")
    return control.calls().total() - before


def _rested(ways: Mapping[str, Callable[[], Any]]) -> Any:
    timed: dict[str, Callable[[int], object]] = {}
    for name, way in ways.items():
        # The rest is a turn of its own, which is not shown.
        timed[f"rest before {name}"] = lambda _: time.sleep(REST_SECONDS)
        timed[name] = lambda _, way=way: way()
    return {name: one for name, one in measure(timed, ROUNDS).items() if name in ways}


def main() -> None:
    """Measure and print."""
    asked = set(sys.argv[1:]) or {"server", "sample"}
    print(f"{os.cpu_count()} cores, {DEVICES} devices of the fake driver, {ROUNDS} rounds in turns")
    print("Two shared cores are noisy: compare the lines of one run, and read p95 with its spread.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, control = build(folder), Control(folder)
        control.unset("calls")
        control.set("devices", DEVICES)
        control.set("latency nvmlDeviceGetPcieThroughput", PCIE_MILLISECONDS)
        os.environ |= {"FAKE_NVML": str(control.file), "LD_LIBRARY_PATH": str(folder)}
        if "server" in asked:
            print(
                "\n### GET /api/status while somebody looks at the GPUs\n", *server_table(folder), sep="\n", flush=True
            )
        if "sample" in asked:
            say("One reading", sample_table(control, library))


if __name__ == "__main__":
    main()
