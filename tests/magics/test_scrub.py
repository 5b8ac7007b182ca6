"""A secret pasted into a cell of a real kernel: it works, the cell is rewritten, and no history keeps it."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.manager import KernelManager

from jupyter_gpu_ext import cli
from jupyter_gpu_ext.magics.scrub import swapper
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY
from tests.magics.cells import Cells
from tests.storage.signed import assert_clean, blob_link, container_link, signature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure.storage.blob import ContainerClient

    from tests.magics.cells import Outcome

# What a kernel still knows of its inputs, asked without leaving a trace of the question.
KEPT = """{
    **{name: repr(value) for name, value in globals().items() if name.startswith('_i') or name in ('In', 'Out', '_dh')},
    'raw': repr(get_ipython().history_manager.input_hist_raw),
    'parsed': repr(get_ipython().history_manager.input_hist_parsed),
    'pending': repr(get_ipython().history_manager.db_input_cache),
    'before': repr((get_ipython().history_manager._i00, get_ipython().history_manager._i)),
    'errors': repr(getattr(get_ipython().history_manager, 'exceptions', None)),
    'lines': repr(__import__('linecache').cache),
    'last': repr(vars(get_ipython().last_execution_result.info)),
    'search': repr(list(get_ipython().history_manager.search('*'))),
    'tail': repr(list(get_ipython().history_manager.get_tail(50, include_latest=True))),
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cells(home: Path) -> Iterator[Cells]:
    """A kernel with a history of its own on disk."""
    manager = KernelManager(kernel_name="python3")
    environ = {
        **os.environ, "IPYTHONDIR": str(home / "ipython"), "JUPYTER_GPU_CONNECTIONS": str(home / "connections.toml"),
        "JUPYTER_GPU_SIMULATED": "1xL4",
    }  # fmt: skip
    with (home / "kernel.log").open("wb") as log:
        manager.start_kernel(env=environ, stderr=log, stdout=log)
    running = Cells(manager.connection_file)
    assert running.run("%load_ext jupyter_gpu_ext").status == "ok"
    yield running
    running.close()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def container(azurite) -> ContainerClient:
    made = azurite.new_container()
    file = io.BytesIO(safetensors.numpy.save({"w": np.ones((4, 3), np.float32)}))
    made.upload_blob("run 7/model.safetensors", file)
    return made


def rewritten(outcome: Outcome) -> str:
    """Return the source that the notebook is told to put in place of the cell's."""
    (payload,) = outcome.messages[-1]["content"]["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["replace"] is True
    return payload["text"]


def assert_forgotten(cells: Cells, home: Path, outcome: Outcome | None, *secrets: str) -> None:
    """Fail when the kernel, its files or its answers (but the echo of the input itself) hold a secret."""
    cells.run("1 + 1")
    kept = cells.value(KEPT)
    for name, text in kept.items():
        for secret in secrets:
            assert secret not in text, name
        assert_clean(text, *secrets)
    for path in home.rglob("*"):
        if path.is_file() and path.parent.name != "jupyter_gpu_secrets":
            assert_clean(path.read_bytes().decode(errors="replace"), *secrets)
    for message in outcome.messages if outcome else ():
        if message["msg_type"] != "execute_input":
            assert_clean(json.dumps(message["content"]), *secrets)


def history(home: Path) -> list[str]:
    (path,) = home.rglob("history.sqlite")
    with sqlite3.connect(path) as database:
        return [row[0] for row in database.execute("SELECT source_raw FROM history ORDER BY session, line")]


@pytest.mark.parametrize(
    ("cell", "after"),
    [
        ("%load_blob {link} -o model", "%load_blob {url} -o model"),
        ("# w\nx = 1\n%load_blob '{link}' -o model  # mine\nx", "# w\nx = 1\n%load_blob '{url}' -o model  # mine\nx"),
        ("%blob load {link} -o model;", "%blob load {url} -o model;"),
        ("model = %load_blob {link}", "model = %load_blob {url}"),
        ("here = '{link}'\n%load_blob {{here}} -o model", "here = '{url}'\n%load_blob {{here}} -o model"),
        ("%time %load_blob {link} -o model", "%time %load_blob {url} -o model"),
    ],
)  # fmt: skip
def test_a_link_in_a_cell(cells: Cells, home: Path, container: ContainerClient, cell: str, after: str) -> None:
    link = blob_link(container, "run 7/model.safetensors")
    cells.run("model = None")
    outcome = cells.run(cell.format(link=link).replace("{{", "{").replace("}}", "}"))
    assert outcome.status == "ok", outcome.traceback
    assert cells.value("list(model['w'].shape)") == [4, 3]
    url = f"{container.container_name}://model.safetensors"
    assert rewritten(outcome) == after.format(link=link, url=url).replace("{{", "{").replace("}}", "}")
    said = re.search(r"This cell held a secret link .*", outcome.stdout).group()
    assert said.startswith("This cell held a secret link (read-only, expires in 50 min)")
    assert "Loaded; the cell now says `" in said
    assert url in said
    assert said.endswith("— If this notebook was shared or committed before, ask for a new link.")
    assert_forgotten(cells, home, outcome, signature(link))
    assert any(url in source for source in history(home)), "the history says the name instead"
    again = cells.run(rewritten(outcome))
    assert again.status == "ok", again.traceback
    assert "secret" not in again.stdout


def test_the_bare_form_binds_the_name_of_the_file(cells: Cells, container: ContainerClient) -> None:
    outcome = cells.run(f"%load_blob {blob_link(container, 'run 7/model.safetensors')}")
    assert outcome.stdout.startswith("model = 1 tensor on ")


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_connect_in_a_cell(cells: Cells, home: Path, azurite, container: ContainerClient, quote: str) -> None:
    link = container_link(container)
    text = f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={azurite.endpoint};"
    for number, pasted in enumerate((link, text)):
        name = f"{container.container_name}-{number}"
        outcome = cells.run(f"%blob connect {quote}{pasted}{quote} --name {name}")
        assert outcome.status == "ok", outcome.traceback
        assert outcome.result.startswith(f"{name}:// · ")
        assert rewritten(outcome) == f"%blob connect {quote}{name}://{quote} --name {name}"
        assert_forgotten(cells, home, outcome, signature(link), AZURITE_KEY)
        assert cells.run(rewritten(outcome)).status == "ok"


def test_other_verbs_take_a_link_too(cells: Cells, home: Path, container: ContainerClient) -> None:
    link = blob_link(container, "run 7/model.safetensors")
    outcome = cells.run(f"%blob info {link}")
    assert outcome.status == "ok", outcome.traceback
    assert rewritten(outcome) == f"%blob info {container.container_name}://model.safetensors"
    assert "Connected; the cell now says" in outcome.stdout
    assert_forgotten(cells, home, outcome, signature(link))


def test_a_load_that_fails_forgets_the_link_all_the_same(cells: Cells, home: Path, container: ContainerClient) -> None:
    container.upload_blob("bad.safetensors", b"no tensor file")
    link = blob_link(container, "bad.safetensors")
    outcome = cells.run(f"%load_blob {link} -o model")
    assert outcome.status == "error"
    line = f"%load_blob {container.container_name}://bad.safetensors -o model"
    assert f"still in the cell; write there `{line}`" in outcome.stdout
    assert_forgotten(cells, home, outcome, signature(link))


@pytest.mark.parametrize("what", ["refused", "expired", "nobody there"])
def test_a_link_that_cannot_be_connected_is_forgotten_too(
    cells: Cells, home: Path, azurite, container: ContainerClient, what: str
) -> None:
    from datetime import timedelta

    link = container_link(container, lasts=timedelta(minutes=-1 if what == "expired" else 60))
    if what == "refused":
        link = link.replace(container.container_name, azurite.new_container().container_name)
    elif what == "nobody there":
        link = link.replace(f":{azurite.port}/", ":1/")
    outcome = cells.run(f"%load_blob {link} -o model")
    assert outcome.status == "error"
    assert not outcome.messages[-1]["content"].get("payload"), "the cell stays: its link may work another time"
    assert_forgotten(cells, home, outcome, signature(link))


def test_a_link_that_was_typed_before_is_forgotten_with_it(
    cells: Cells, home: Path, container: ContainerClient
) -> None:
    link = blob_link(container, "run 7/model.safetensors")
    cells.run(f"# {link}\nunused = 1")
    assert any(signature(link)[:8] in source or link in source for source in history(home)), "a history is kept at all"
    assert cells.run(f"%load_blob {link} -o model").status == "ok"
    assert_forgotten(cells, home, None, signature(link))


def test_a_line_without_a_secret_leaves_the_cell_alone(cells: Cells) -> None:
    outcome = cells.run("%blob ls")
    assert outcome.messages[-1]["content"]["payload"] == []
    assert "secret" not in outcome.stdout


def test_a_secret_on_the_shell_s_command_line_is_refused(
    container: ContainerClient, capsys: pytest.CaptureFixture[str]
) -> None:
    link = container_link(container)
    for arguments in (
        ["connect", link],
        ["info", link],
        ["connect", f"AccountName=a;AccountKey={AZURITE_KEY}"],
        ["connect", f"--name={link}"],
    ):
        assert cli.main("blob", arguments) == 2
        shown = capsys.readouterr()
        assert "without a link: it asks" in shown.err
        assert_clean(shown.out + shown.err, signature(link), AZURITE_KEY)


def test_the_shell_asks_for_the_link(
    container: ContainerClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: container_link(container))
    assert cli.main("blob", ["connect", "--name", "weights"]) == 0
    assert capsys.readouterr().out.startswith("weights:// · SAS link")
    assert cli.main("blob", ["connect", "weights://", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["saved"] is True


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.just("***"), max_size=4), st.text(max_size=30))
def test_what_is_swapped_is_gone(texts: dict[str, str], text: str) -> None:
    swapped = swapper(texts)(text)
    if not any(set(one) & {"*"} for one in texts):
        assert not any(one in part for one in texts for part in swapped.split("***"))
