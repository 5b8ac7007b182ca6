"""Memory given back over HTTP, by real kernels, rung by rung."""

from __future__ import annotations

import json

import pytest

from jupyter_gpu_ext.gpu.ladder import PRICES, Rung
from jupyter_gpu_ext.magics import link
from jupyter_gpu_ext.server import kernels, release
from tests.conftest import write_connections
from tests.server.contract import UNKNOWN_KERNEL, check
from tests.server.live import API, wait_until
from tests.server.notebook import Notebook
from tests.server.test_auth import Recording

MB = 10**6
SETUP = """
import os, weakref
import torch
%load_ext jupyter_gpu_ext
alive = weakref.WeakValueDictionary()
def made(name, megabytes):
    found = alive[name] = torch.zeros(megabytes * 1_000_000, dtype=torch.uint8)
    return found
"""
FAIL = """
def train():
    batch = made("batch", 3)
    raise ValueError("no")
train()
"""


@pytest.fixture(scope="module", autouse=True)
def hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_FRESH_SECONDS", 0.2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    write_connections(folder / "connections.toml", disk={"root": str(folder)})
    return folder


@pytest.fixture(scope="module")
def notebook(server, folder):
    notebook = Notebook(server, folder, "train.ipynb")
    assert notebook.cells.run(SETUP).status == "ok"
    notebook.linked()
    yield notebook
    if notebook.id in notebook.manager:
        notebook.close()


@pytest.fixture(scope="module")
def plain(server, folder):
    """A kernel without the extension."""
    notebook = Notebook(server, folder, "plain.ipynb")
    yield notebook
    if notebook.id in notebook.manager:
        notebook.close()


def alive(notebook):
    return set(notebook.cells.value("sorted(alive.keys())"))


def test_rung_by_rung_and_every_variable_stays(notebook):
    notebook.cells.run("kept = made('kept', 1)")
    notebook.cells.run("made('shown', 2)")
    assert notebook.cells.run(FAIL).status == "error"
    assert alive(notebook) == {"kept", "shown", "batch"}
    rungs = notebook.rungs()
    assert list(rungs) == [one.value for one in Rung]
    assert (rungs["cache"], rungs["traceback"], rungs["outputs"]) == (0, 3 * MB, 2 * MB)
    gave = {rung: notebook.release(rung).json for rung in ("cache", "traceback", "outputs")}
    assert {rung: one["freed_bytes"] for rung, one in gave.items()} == {
        "cache": 0, "traceback": 3 * MB, "outputs": 2 * MB,
    }  # fmt: skip
    assert gave["traceback"]["message"] == "Freed 3.0 MB."
    assert alive(notebook) == {"kept"}
    assert notebook.rungs()["traceback"] == notebook.rungs()["outputs"] == 0
    # The prompt goes on as before.
    assert notebook.cells.run("1 + 1").result == "2"
    assert notebook.cells.run("_ + 1").result == "3"


def test_while_a_cell_runs(notebook, tmp_path):
    assert notebook.cells.run(FAIL).status == "error"
    stop = tmp_path / "stop"
    busy = notebook.cells.start(f"while not os.path.exists({str(stop)!r}): pass")
    wait_until(lambda: notebook.kernel.execution_state == "busy")
    try:
        assert notebook.rungs()["traceback"] == 3 * MB
        assert notebook.release("traceback").json["freed_bytes"] == 3 * MB
        row = notebook.row()
        assert (row["state"], row["idle_seconds"]) == ("busy", None)
        assert notebook.kernel.execution_state == "busy"
    finally:
        stop.touch()
        assert notebook.cells.finish(busy).status == "ok"
    row = notebook.wait_for(lambda row: row["state"] == "idle")
    assert 0 <= row["idle_seconds"] < 60


def test_each_price_is_told(notebook, server):
    reply = server.get(f"/gpu/kernels/{notebook.id}/release").json
    assert {one["rung"]: one["price"] for one in reply["rungs"]} == {rung.value: PRICES[rung] for rung in Rung}


@pytest.mark.parametrize("rung", ["cache", "traceback", "outputs"])
def test_a_kernel_without_the_extension_says_what_it_needs(plain, rung):
    reply = plain.release(rung)
    assert (reply.status, reply.json["code"]) == (409, "not_linked")
    assert "%load_ext jupyter_gpu_ext" in reply.json["hint"]
    assert plain.rungs() == {one.value: None for one in Rung}


def test_an_unknown_kernel(server):
    for method, body in (("GET", None), ("POST", b'{"rung": "restart"}')):
        path = f"{API}/gpu/kernels/{UNKNOWN_KERNEL}/release"
        reply = server.request(method, path, body=body, headers={"Content-Type": "application/json"})
        assert reply.status == 404
        assert check("/gpu/kernels/{kernel}/release", reply, method.lower())["code"] == "not_found"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"rung": 1}', b'{"rung": "all"}', b'{"rung": "cache", "pid": 1}'])
def test_a_wrong_body_does_nothing(notebook, server, body):
    path = f"{API}/gpu/kernels/{notebook.id}/release"
    reply = server.request("POST", path, body=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.json["code"]) == (400, "bad_request")


def lying(answer):
    return f"""
kernel = get_ipython().kernel
def lie(stream, identity, parent):
    content = {answer} if parent["content"] else {{"held": []}}
    if content is not None:
        kernel.session.send(stream, {link.REPLY!r}, content, parent, identity)
kernel.control_handlers[{link.REQUEST!r}] = lie
"""


LIES = ["{}", "{'freed_bytes': -1}", "{'freed_bytes': '5'}", "{'freed_bytes': True}", "{'freed_bytes': 10**30}"]


@pytest.mark.parametrize("answer", LIES)
def test_a_kernel_that_lies_is_not_believed(plain, answer):
    assert plain.cells.run(lying(answer)).status == "ok"
    plain.linked()
    reply = plain.release("cache")
    assert (reply.status, reply.json["code"]) == (422, "device")


def test_rungs_of_a_lying_kernel_have_the_form_of_the_contract(plain):
    rows = [{"rung": "cache", "bytes": 5, "price": "x"}, {"rung": "restart", "bytes": 1}, {"rung": "traceback"}, 7]
    rows += [{"rung": "outputs", "bytes": "many"}, {"rung": ["cache"], "bytes": 1}, {"rung": "all", "bytes": 1}]
    assert plain.cells.run(lying(repr({"rungs": rows}))).status == "ok"
    plain.linked()
    assert plain.rungs() == {"cache": 5, "traceback": None, "outputs": None, "restart": None, "shutdown": None}


def test_a_kernel_that_does_not_answer_is_busy(plain, monkeypatch):
    monkeypatch.setattr(release, "_ANSWER_SECONDS", 0.3)
    assert plain.cells.run(lying("None")).status == "ok"
    plain.linked()
    reply = plain.release("cache")
    assert (reply.status, reply.json["code"]) == (429, "busy")
    assert reply.json["hint"]


@pytest.fixture
def recording(server):
    settings = server.app.web_app.settings
    before, settings["authorizer"] = settings["authorizer"], Recording()
    yield settings["authorizer"]
    settings["authorizer"] = before


def test_who_may_not_end_kernels_may_not_shut_one_down_here(notebook, recording):
    recording.refused = frozenset({("write", "kernels")})
    assert notebook.release("cache").status == 200
    assert notebook.release("shutdown").status == 403
    assert notebook.id in notebook.manager


def test_a_restart_frees_everything_and_the_notebook_goes_on(notebook):
    notebook.cells.run("%load_ext jupyter_gpu_ext\n%blob --help")
    pid = notebook.pid
    reply = notebook.release("restart").json
    assert (reply["rung"], reply["freed_bytes"]) == ("restart", None)
    assert reply["message"].startswith("The kernel was restarted")
    assert notebook.pid != pid
    notebook.cells.client.wait_for_ready(timeout=60)
    assert notebook.cells.run("'alive' in globals()").result == "False"
    assert notebook.wait_for(lambda row: not row["linked"])["uses"] == []


def test_a_shutdown_ends_the_session_too(notebook, server):
    sessions = json.loads(server.request("GET", "/api/sessions").body)
    assert notebook.id in {one["kernel"]["id"] for one in sessions}
    assert notebook.release("shutdown").json["message"].startswith("The kernel was shut down")
    assert notebook.id not in notebook.manager
    assert notebook.id not in {one["kernel"]["id"] for one in json.loads(server.request("GET", "/api/sessions").body)}
    wait_until(lambda: notebook.row() is None)
    assert notebook.release("restart").status == 404


def test_a_kernel_without_a_session_can_be_shut_down(server, folder):
    notebook = Notebook(server, folder, "bare.ipynb")
    server.await_(_forget(server, notebook.id))
    notebook.wait_for(lambda row: row["path"] == "")
    assert notebook.release("shutdown").status == 200
    assert notebook.id not in notebook.manager
    notebook.cells.close()


async def _forget(server, identity):
    server.app.session_manager.cursor.execute("DELETE FROM session WHERE kernel_id=?", (identity,))
