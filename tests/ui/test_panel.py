"""The storage panel on its own ground: finding a name, a link that has ended, a folder of a hundred thousand."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, HERE, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.storage.signed import assert_clean, container_link, signature
from tests.ui.lab import Lab, drive, running_lab
from tests.ui.many import Many, running_many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure.storage.blob import ContainerClient

ROWS = 100_000
PAGE = 1000
NAMES = ("anna/x.pt", "anna2.pt", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "notes.txt")


@dataclass(frozen=True)
class Ground:
    """One JupyterLab for every walk, with a connection for each."""

    lab: Lab
    folder: Path
    container: ContainerClient
    other: ContainerClient
    many: Many

    def let_end(self, name: str, after: timedelta) -> None:
        """Give a connection a link that ends so many seconds from now."""
        token = container_link(self.container, lasts=after).partition("?")[2]
        place = self.folder / "jupyter_gpu_secrets" / name
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.touch(mode=0o600)
        place.write_text(token)


@pytest.fixture(scope="module")
def ground(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("panel")
    container, other = azurite.new_container(), azurite.new_container()
    for name in NAMES:
        container.upload_blob(f"runs/{name}", b"x")
    azure = azure_fields(azurite, container.container_name)
    signed = {
        name: {**azure, "credential": "sas", "secret": f"file:{folder / 'jupyter_gpu_secrets' / name}"}
        for name in ("gone", "soon")
    }
    file = folder / "connections.toml"
    with running_many(ROWS) as many, socket.create_server(("127.0.0.1", 0)) as nobody:
        # Connections are taken up by the system, and nobody ever answers on them.
        silent = f"http://127.0.0.1:{nobody.getsockname()[1]}/{AZURITE_ACCOUNT}"
        writable = {**azure, "read_only": False}
        generated = {"root": "az://many", "account": "generated", "endpoint": many.endpoint, "credential": "anonymous"}
        write_connections(file, weights=writable, silent={**writable, "endpoint": silent}, **signed, many=generated)
        environ = {"JUPYTER_GPU_CONNECTIONS": str(file), KEY_VARIABLE: AZURITE_KEY}
        with running_lab(folder / "lab", environ) as lab:
            settings = folder / "lab" / "settings" / "jupyter-gpu-ext" / "storage.jupyterlab-settings"
            settings.parent.mkdir()
            settings.write_text(json.dumps({"pageSize": PAGE}))
            yield Ground(lab, folder, container, other, many)


def test_find_by_the_first_letters(ground: Ground) -> None:
    found = drive("search.mjs", ground.lab, HERE / ".artifacts" / "search")
    assert found["box"] == "weights://runs/"
    assert found["narrowed"] == ["anna", "anna2.pt"]
    assert "Nothing begins with “annas”" in str(found["none"])
    assert found["all"] == found["before"]
    assert found["reached"] == "anna2.pt"
    assert found["focus"] == "tree"
    assert found["problems"] == []


def test_what_is_on_its_way_can_be_cancelled(ground: Ground) -> None:
    found = drive("transfers.mjs", ground.lab, HERE / ".artifacts" / "transfers")
    assert "looking what is there" in str(found["running"])
    assert 0 < int(str(found["percent"])) < 100
    assert found["problems"] == []


def test_a_link_that_has_ended_is_renewed_on_its_row(ground: Ground) -> None:
    ground.let_end("gone", timedelta(minutes=-1))
    ground.let_end("soon", timedelta(seconds=15))
    wrong, good = (container_link(one, lasts=timedelta(hours=5)) for one in (ground.other, ground.container))
    given = {"WRONG": wrong, "GOOD": good, "SECRET": signature(good)}
    found = drive("expired.mjs", ground.lab, HERE / ".artifacts" / "expired", **given)
    assert "expired" in str(found["row"])
    assert "expired at" in str(found["note"])
    assert f"gone is {ground.container.container_name} of {AZURITE_ACCOUNT}" in str(found["refused"])
    assert "4 h" in str(found["renewed"])
    assert found["pinned"] == ["gone://"]
    assert found["ended"] == {"listed": 2, "button": "Paste new link for soon", "left": "tree"}
    assert found["kept"], "the new secret stays in the page"
    text = (ground.folder / "connections.toml").read_text() + ground.lab.log.read_text(errors="replace")
    assert_clean(text + json.dumps(found["bodies"]), signature(good), signature(wrong))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "real_pages", [3, pytest.param(ROWS // PAGE, marks=[pytest.mark.prove, pytest.mark.timeout(600)])]
)
def test_a_hundred_thousand_rows(ground: Ground, real_pages: int) -> None:
    ground.many.asked.clear()
    given = {"ROWS": str(ROWS), "REAL_PAGES": str(real_pages)}
    found = drive("many.mjs", ground.lab, HERE / ".artifacts" / "many", **given)
    assert (found["last"], found["first"]) == (ground.many.names[-1], "weights")
    assert (found["position"], found["count"]) == (str(ROWS), str(ROWS))
    assert int(str(found["nodes"])) < 200
    assert float(str(found["frozen"])) < 2000, "milliseconds between two frames"
    assert found["requests"] == ROWS // PAGE
    assert ground.many.asked == list(range(0, PAGE * real_pages, PAGE)), "one request a page"
    # Its last file is selected, so what is inside is asked; there is no such file.
    assert all("404" in one for one in cast("list[str]", found["problems"]))
