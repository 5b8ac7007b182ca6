"""What every room's tests share: real storage emulators, a clean configuration, a device when there is one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.blob import ContainerClient

pytest_plugins = ["pytest_jupyter.jupyter_server"]

# A slow machine is no fault.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

HERE = Path(__file__).parent
AZURITE_ACCOUNT = "devstoreaccount1"
# Azurite's own published key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
KEY_VARIABLE = "TEST_AZURE_KEY"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a device where there is none."""
    for item in items:
        if item.get_closest_marker("gpu") and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until someone listens on the port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


@dataclass(frozen=True)
class Azurite:
    """A running Azure emulator."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{AZURITE_ACCOUNT}"

    @property
    def secure(self) -> str:
        return self.endpoint.replace("http://", "https://")

    def new_container(self) -> ContainerClient:
        """Make an empty container of its own for a test."""
        from azure.storage.blob import BlobServiceClient

        service = BlobServiceClient(self.endpoint, credential=AZURITE_KEY)
        return service.create_container(f"test-{uuid.uuid4().hex[:12]}")


@contextmanager
def running_azurite(*more: str) -> Iterator[Azurite]:
    """Run an Azurite of our own, with more options where they are given."""
    program = HERE / "node_modules" / ".bin" / "azurite-blob"
    node = shutil.which("node")
    if not program.exists() or node is None:
        raise RuntimeError("Azurite is not installed: `make test` installs it.")
    port = free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    process = subprocess.Popen(
        [node, str(program.resolve()), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        yield Azurite(port)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One Azurite a run."""
    with running_azurite() as running:
        yield running


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep this machine's own configuration out of the tests, and the tests' out of the machine."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "JUPYTER_GPU_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(tmp_path / "connections.toml"))


@dataclass(frozen=True)
class Store:
    """A connection to write to by other means and to read from by ours."""

    name: str
    folder: Path | None = None
    container: ContainerClient | None = None

    def put(self, key: str, data: bytes) -> None:
        """Write an object with the provider's own client."""
        if self.container is not None:
            self.container.upload_blob(key, data, overwrite=True)
        else:
            assert self.folder is not None
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def write_connections(path: Path, **connections: dict[str, object]) -> None:
    """Write a connections file."""
    lines = []
    for name, fields in connections.items():
        lines.append(f"[connections.{name}]")
        lines += [
            f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in fields.items()
        ]
    path.write_text("\n".join(lines) + "\n")


def azure_fields(azurite: Azurite, container: str) -> dict[str, object]:
    """Return the fields of a connection to a container of Azurite."""
    return {
        "root": f"az://{container}",
        "account": AZURITE_ACCOUNT,
        "endpoint": azurite.endpoint,
        "credential": "account-key",
        "secret": f"env:{KEY_VARIABLE}",
    }


@pytest.fixture
def azure_store(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The connection `weights://` on a container of its own in Azurite."""
    container = azurite.new_container()
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    write_connections(tmp_path / "connections.toml", weights=azure_fields(azurite, container.container_name))
    return Store("weights", container=container)


@pytest.fixture
def local_store(tmp_path: Path) -> Store:
    """The connection `disk://` on a folder of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    write_connections(tmp_path / "connections.toml", disk={"root": str(folder)})
    return Store("disk", folder=folder)


@pytest.fixture(params=["azure", "local"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of storage in turn."""
    return request.getfixturevalue(f"{request.param}_store")
