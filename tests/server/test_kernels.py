from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import safetensors.numpy
import zarr

from jupyter_gpu_ext.magics import link
from jupyter_gpu_ext.server import kernels, said
from jupyter_gpu_ext.server import link as server_link
from jupyter_gpu_ext.server.link import Link
from tests.conftest import AZURITE_KEY, write_connections
from tests.server.live import wait_until
from tests.server.notebook import Notebook

SIZE = 512 * 512 * 4
QUICK_SECONDS = 0.9


@pytest.fixture(scope="module", autouse=True)
def hurry():
    """Ask five times as often as people need, so that the tests wait less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_FRESH_SECONDS", 0.2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "m.safetensors").write_bytes(safetensors.numpy.save({"w": np.zeros((512, 512), np.float32)}))
    write_connections(folder / "connections.toml", disk={"root": str(folder)})
    return folder


@pytest.fixture(scope="module")
def notebook(server, folder):
    """A kernel with the extension."""
    notebook = Notebook(server, folder, "train.ipynb")
    outcome = notebook.cells.run("%load_ext jupyter_gpu_ext")
    assert outcome.status == "ok", outcome
    yield notebook
    notebook.close()


@pytest.fixture(scope="module")
def plain(server, folder):
    """A kernel without it."""
    notebook = Notebook(server, folder, "plain.ipynb")
    yield notebook
    if notebook.id in notebook.manager:
        notebook.close()


@pytest.mark.parametrize("wait", ["time.sleep(0.01)", "pass"], ids=["waiting", "computing"])
@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("", {"device": "simulated:0", "uuid": "simulated-0", "bytes": SIZE}),
        ("--device cpu", {"device": "cpu", "uuid": None, "bytes": SIZE}),
    ],
    ids=["simulated", "cpu"],
)
def test_what_a_busy_kernel_holds_is_told(notebook, tmp_path, wait, option, place):
    assert notebook.cells.run(f"%load_blob disk://m.safetensors -o model {option}").status == "ok"
    stop = tmp_path / "stop"
    busy = notebook.cells.start(f"import os, time\nwhile not os.path.exists({str(stop)!r}): {wait}")
    wait_until(lambda: notebook.kernel.execution_state == "busy")
    try:
        notebook.linked()
        row = notebook.wait_for(lambda row: row["uses"])
        assert notebook.kernel.execution_state == "busy"
    finally:
        stop.touch()
        notebook.cells.finish(busy)
    assert row["path"] == "train.ipynb"
    assert [{key: one[key] for key in place} for one in row["uses"]] == [place]
    (load,) = row["loads"]
    assert (load["name"], load["url"], load["bytes"]) == ("model", "disk://m.safetensors", SIZE)
    assert notebook.cells.run("del model").status == "ok"
    assert notebook.wait_for(lambda row: not row["uses"])["loads"] == []


def test_a_stream_is_told_while_it_is_read(notebook, folder):
    zarr.create_array(folder / "x.zarr", data=np.zeros((64, 8), np.float32), chunks=(8, 8))
    cell = """
import time, jupyter_gpu_ext as jg
for at, batch in enumerate(jg.ZarrStream("disk://x.zarr").batch(1)):
    time.sleep(0.1)
    if stop.exists(): break
"""
    stop = folder / "stop"
    busy = notebook.cells.start(f"from pathlib import Path\nstop = Path({str(stop)!r})\n{cell}")
    try:
        notebook.linked()
        row = notebook.wait_for(lambda row: row["streams"] and row["streams"][0]["samples_per_second"])
    finally:
        stop.touch()
        notebook.cells.finish(busy)
    (stream,) = row["streams"]
    assert stream["url"] == "disk://x.zarr"
    assert 0 <= stream["wait_ratio"] < 0.5
    assert notebook.cells.run("del batch").status == "ok"
    assert notebook.wait_for(lambda row: not row["streams"])["streams"] == []


def test_simulated_memory_shows_what_is_held(notebook, server):
    def used():
        return server.get("/gpu/status").json["samples"][-1]["devices"][0]["memory_used_bytes"]

    notebook.linked()
    notebook.wait_for(lambda row: not row["uses"])
    empty = wait_until(lambda: (found := used()) and found % 1000 == 0 and found)
    notebook.cells.run("%load_blob disk://m.safetensors -o model")
    wait_until(lambda: used() == empty + SIZE)
    notebook.cells.run("del model")
    wait_until(lambda: used() == empty)


def test_an_open_panel_keeps_neither_server_nor_kernel_from_being_culled(notebook, server):
    settings = server.app.web_app.settings
    notebook.linked()
    server.request("GET", "/api/contents")
    before = settings["api_last_activity"]
    active = wait_until(lambda: (seen := _quiet_since(notebook)) and seen)
    asked = set()
    end = time.monotonic() + 20
    while len(asked) < 4 and time.monotonic() < end:
        assert notebook.row()["linked"]
        asked.add(notebook.known.asked_at)
        server.get("/storage/connections")
    assert len(asked) == 4
    assert notebook.kernel.last_activity == active
    assert settings["api_last_activity"] == before
    # The clocks do run: for a cell, and for a request that counts.
    notebook.cells.run("1")
    wait_until(lambda: notebook.kernel.last_activity > active)
    server.request("GET", "/api/contents")
    assert settings["api_last_activity"] > before


def _quiet_since(notebook):
    seen = notebook.kernel.last_activity
    time.sleep(0.2)
    return notebook.kernel.execution_state == "idle" and notebook.kernel.last_activity == seen and seen


def test_a_kernel_that_hangs_makes_nobody_wait_and_comes_back(notebook):
    notebook.linked()
    os.kill(notebook.pid, signal.SIGSTOP)
    try:
        slowest, end = 0.0, time.monotonic() + 30
        while (row := notebook.row())["linked"] and time.monotonic() < end:
            started = time.monotonic()
            notebook.row()
            slowest = max(slowest, time.monotonic() - started)
        assert (row["linked"], row["uses"], row["loads"]) == (False, [], [])
        assert slowest < QUICK_SECONDS
    finally:
        os.kill(notebook.pid, signal.SIGCONT)
    # It answered once, so it is asked again without having run anything.
    notebook.known.asked_at = 0
    notebook.wait_for(lambda row: row["linked"])


def test_a_restarted_kernel_is_unlinked_until_the_extension_is_loaded_again(notebook, server):
    notebook.cells.run("%load_blob disk://m.safetensors -o model")
    notebook.linked()
    notebook.wait_for(lambda row: row["uses"])
    server.await_(notebook.manager.restart_kernel(notebook.id))
    row = notebook.wait_for(lambda row: not row["linked"])
    assert (row["uses"], row["loads"]) == ([], [])
    notebook.cells.client.wait_for_ready(timeout=60)
    assert notebook.cells.run("%load_ext jupyter_gpu_ext").status == "ok"
    notebook.wait_for(lambda row: row["linked"])


def test_a_kernel_without_the_extension_is_asked_rarely(plain):
    plain.wait_for(lambda row: True)
    end = time.monotonic() + 2.2
    while time.monotonic() < end:
        assert plain.row()["linked"] is False
    # One line a question: the first is asked of every kernel, a second only once it ran something.
    assert 1 <= plain.log.read_text().count("UNKNOWN CONTROL MESSAGE") <= 2


@pytest.mark.parametrize(
    ("known", "seconds_later", "ran", "due"),
    [
        ({}, 0, False, True),
        ({"misses": 1}, 1.9, True, False),
        ({"misses": 1}, 2.1, True, True),
        ({"misses": 1}, 1000, False, False),
        ({"misses": 4}, 15.9, True, False),
        ({"misses": 50}, 29.9, True, False),
        ({"misses": 50}, 30.1, True, True),
        ({"misses": 2, "linked": True}, 0, False, True),
        ({"misses": 3, "answered_once": True}, 7.9, False, False),
        ({"misses": 3, "answered_once": True}, 8.1, False, True),
    ],
)
def test_when_a_kernel_is_asked_again(known, seconds_later, ran, due):
    one = Link(None, run=0, asked_at=100, activity="then", **known)
    assert one.is_due(100 + seconds_later, "now" if ran else "then") is due


def test_a_late_extension_is_noticed(plain):
    """The kernel ran much before, so its next question may be half a minute away; it is asked then."""
    plain.wait_for(lambda row: not row["linked"])
    plain.known.misses = 50
    plain.cells.run("%load_ext jupyter_gpu_ext")
    plain.known.asked_at -= 31
    plain.wait_for(lambda row: row["linked"])


GOOD = {"device": "cuda:0", "uuid": "GPU-1", "bytes": 5, "peak_bytes": 6, "cached_bytes": 2}
OLD = {"device": "cuda:0", "bytes": 5}
BAD_NUMBERS = (True, "5", 5.0, -1, 2**53 + 1, 10**400, [], float("nan"))


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (None, []),
        ({}, []),
        ("rows", []),
        ([None, 1, "row", [GOOD]], []),
        ([GOOD], [GOOD]),
        ([{**GOOD, "uuid": None}], [{**GOOD, "uuid": None}]),
        ([{**GOOD, "more": "x" * 10}], [GOOD]),
        ([{**GOOD, "bytes": None}], []),
        *(([{**GOOD, key: bad}], []) for bad in BAD_NUMBERS for key in ("bytes", "peak_bytes", "cached_bytes")),
        *(([{**GOOD, "device": bad}], []) for bad in (None, 1, ["cuda:0"], {"a": 1})),
        *(([{**GOOD, "uuid": bad}], []) for bad in (1, ["x"], {})),
        ([OLD], [{**OLD, "uuid": None, "peak_bytes": None, "cached_bytes": None}]),
    ],
    ids=repr,
)
def test_what_a_kernel_says_is_taken_only_in_the_form_of_the_contract(told, kept):
    assert said.rows(told, said.HELD) == kept


def test_numbers_of_a_stream_are_numbers():
    row = dict.fromkeys(said.STREAMS, 0) | {"url": "u", "advice": ""}
    wrong = [float("nan"), float("inf"), -0.5, "1", True, None]
    assert said.rows([row, {**row, "wait_ratio": 0.25}], said.STREAMS) == [row, {**row, "wait_ratio": 0.25}]
    assert said.rows([{**row, "wait_ratio": one} for one in wrong], said.STREAMS) == []


def test_a_kernel_that_says_too_much_is_cut_short():
    rows = said.rows([{"name": "x" * 10**6, "url": "u", "device": "cpu", "bytes": 1}] * 10**5, said.LOADS)
    assert len(rows) == 200
    assert len(rows[0]["name"]) == 4096


HOSTILE = {
    "held": [{"device": 1}, {**GOOD, "bytes": -5}, {**GOOD, "more": 1}] + [{}] * 5000,
    "loads": [
        {"name": AZURITE_KEY, "url": f"https://a/b?sig={'c2VjcmV0' * 4}", "device": "cpu", "bytes": 1, "key": 1},
        "row",
    ],
    "linked": "yes",
    "id": "another",
}

ANSWERS = {
    "a list": "[]",
    "a number that is too long": "{'held': [{'device': 'a', 'uuid': None, 'bytes': int('9' * 4000) * 10**4000}]}",
    "another kind": "kind",
}


def answer(code, kind=link.REPLY):
    return f"""
import sys
sys.set_int_max_str_digits(0)
kernel = get_ipython().kernel
def answer(stream, identity, parent):
    kernel.session.send(stream, {kind!r}, {code}, parent, identity)
kernel.control_handlers[{link.REQUEST!r}] = answer
"""


def test_a_lying_kernel_is_quoted_in_the_form_of_the_contract_and_without_secrets(plain):
    assert plain.cells.run(answer(repr(HOSTILE))).status == "ok"
    plain.linked()
    row = plain.wait_for(lambda row: row["uses"])
    assert row["id"] == plain.id
    assert row["uses"] == [{**GOOD, "how": "report"}]
    (load,) = row["loads"]
    assert load == {"name": "***", "url": "https://a/b?sig=***", "device": "cpu", "bytes": 1}


@pytest.mark.parametrize("content", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_none_spoils_only_its_own_row(plain, notebook, content):
    code = answer("{}", "jupyter_gpu_ext_reply2") if content == "kind" else answer(content)
    assert plain.cells.run(code).status == "ok"
    plain.forget()
    assert notebook.linked()
    wait_until(lambda: plain.known.misses)
    row = plain.row()
    assert (row["linked"], row["uses"], row["loads"]) == (False, [], [])


def test_a_person_who_may_not_execute_sees_no_kernels(notebook, server):
    from tests.server.test_auth import GrantLater, Recording

    settings = server.app.web_app.settings
    before = settings["authorizer"]
    try:
        recording = settings["authorizer"] = Recording()
        recording.refused = frozenset({("execute", "kernels")})
        assert server.get("/gpu/status").json["kernels"] == []
        settings["authorizer"] = GrantLater()
        assert server.get("/gpu/status").json["kernels"]
    finally:
        settings["authorizer"] = before


def test_a_kernel_that_was_shut_down_has_no_row(plain):
    assert plain.row() is not None
    plain.close()
    wait_until(lambda: plain.row() is None)
    assert plain.id not in plain.server.extension.kernels._links


def test_both_ends_speak_of_the_same_thing():
    assert (link.REQUEST, link.REPLY) == (server_link.REQUEST, server_link.REPLY)
