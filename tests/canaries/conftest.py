"""One set of planted secrets and one server for all sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.canaries.search import Finder
from tests.canaries.six import Six, running_six
from tests.server.live import Server, environment, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """Replace pytest-jupyter's: the server is shared, and stops itself."""


@pytest.fixture(scope="package")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    with running_six(tmp_path_factory.mktemp("six")) as found:
        yield found


@pytest.fixture(scope="package")
def finder(six: Six) -> Finder:
    return Finder(six.secrets)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with environment(JUPYTER_GPU_SIMULATED="1xL4"), running(tmp_path_factory.mktemp("server")) as server:
        wait_until(lambda: server.get("/gpu/status").json["state"] == "ok")
        yield server
