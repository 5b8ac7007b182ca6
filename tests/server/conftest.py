from __future__ import annotations

import pytest

from tests.server.live import environment, running, wait_until


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Replace pytest-jupyter's: these tests share servers, which stop themselves."""


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """One server on two simulated GPUs for all tests; the connections are each test's own."""
    with environment(JUPYTER_GPU_SIMULATED="2xL4"), running(tmp_path_factory.mktemp("server")) as server:
        wait_until(lambda: server.get("/gpu/status").json["state"] == "ok")
        yield server
