"""A notebook becomes a job over HTTP, and runs in the background, by real kernels and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from jupyter_gpu_ext.job import running
from tests.conftest import write_connections
from tests.server.contract import UNKNOWN_KERNEL, check
from tests.server.live import API, wait_until
from tests.server.live import running as running_server
from tests.server.notebook import Notebook
from tests.server.test_auth import Recording, authorizer  # noqa: F401 -- a fixture

KEY = "A" * 86 + "=="
PARAMETERS = "lr: float = 1e-3  # step of the optimiser\nresume = False"
CELLS = ("%load_ext jupyter_gpu_ext", PARAMETERS, "import helpers\nprint(helpers.twice(lr), resume)")


@pytest.fixture
def root(server, tmp_path):
    """The server's root, emptied; its connections are a folder of this test."""
    root = Path(server.app.root_dir)
    subprocess.run(["rm", "-rf", *map(str, root.iterdir())], check=True)
    write_connections(tmp_path / "connections.toml", disk={"root": str(tmp_path / "disk"), "read_only": False})
    (root / "deep").mkdir()
    (root / "deep" / "helpers.py").write_text("def twice(x):\n    return 2 * x\n")
    return root


def put(root: Path, path: str, *cells: str) -> str:
    """Write a notebook; a cell that declares is tagged so."""
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    for cell in made:
        cell.metadata["tags"] = ["parameters"] if cell.source == PARAMETERS else []
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), root / path)
    return path


def send(server, path: str, body: dict, method: str = "POST"):
    kind = {"Content-Type": "application/json"}
    return server.request(method, API + path, body=json.dumps(body).encode(), headers=kind)


def export(server, **body):
    return check("/export/job", send(server, "/export/job", body), "post")


def test_a_preview_writes_nothing_and_an_export_all_of_it(server, root):
    path = put(root, "deep/Train it.ipynb", *CELLS)
    seen = export(server, path=path)
    assert (seen["folder"], seen["exists"], seen["written"]) == ("deep/jobs/train-it", False, False)
    assert [(one["name"], one["default"], one["help"]) for one in seen["parameters"]] == [
        ("lr", "0.001", "step of the optimiser"), ("resume", "False", ""),
    ]  # fmt: skip
    assert not (root / "deep/jobs").exists()
    made = export(server, path=path, write=True, options={"arguments": {"lr": "3e-4", "resume": "true"}, "gpus": 2})
    assert sorted(one.name for one in (root / made["folder"]).iterdir()) == sorted(
        [*(one["name"] for one in made["files"]), "export.json"]
    )
    assert {"train.py", "helpers.py", "job.yaml", "README.md"} <= {one["name"] for one in made["files"]}
    assert "--lr=3e-4" in (root / made["folder"] / "job.yaml").read_text()
    assert made["commands"]["kubernetes"] == "kubectl apply -f deep/jobs/train-it/job.yaml"
    again = export(server, path=path, write=True)
    assert (again["code"], export(server, path=path)["exists"]) == ("exists", True)
    (root / made["folder"] / "job.yaml").write_text("mine")
    assert export(server, path=path, write=True, overwrite=True)["kept"] == ["job.yaml"]


def test_a_linked_kernel_says_what_it_ran_and_read(server, root, tmp_path):
    import numpy as np

    (tmp_path / "disk").mkdir()
    np.save(tmp_path / "disk" / "w.npy", np.zeros(3))
    cell = "%load_blob disk://w.npy -o w --device cpu"
    path = put(root, "train.ipynb", "%load_ext jupyter_gpu_ext", cell)
    notebook = Notebook(server, tmp_path, path)
    try:
        for source in ("%load_ext jupyter_gpu_ext", cell):
            assert notebook.cells.run(source).status == "ok"
        notebook.linked()
        made = export(server, path=path, kernel=notebook.id, write=True, folder="out")
    finally:
        notebook.close()
    assert [(one["name"], one["reads"], one["writes"]) for one in made["connections"]] == [("disk", True, False)]
    assert '"disk://w.npy"' in (root / "out" / "data.lock").read_text()
    assert export(server, path=path, kernel=UNKNOWN_KERNEL)["code"] == "not_found"


@pytest.mark.parametrize(
    "folder",
    [
        "..",
        "../x",
        "a/../../x",
        "/etc/x",
        "~/x",
        "link/x",
        "link",
        "a/./x",
        "a//x",
        ".hidden",
        "a/.git",
        "a\\x",
        "a\nx",
    ],
)
def test_no_folder_leads_out_of_the_root(server, root, tmp_path, folder):
    path = put(root, "train.ipynb", "x = 1")
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    before = sorted(root.parent.rglob("*"))
    assert export(server, path=path, folder=folder, write=True)["code"] == "bad_request"
    reply = send(server, "/export/run", {"path": path, "folder": folder})
    assert check("/export/run", reply, "post")["code"] == "bad_request"
    assert sorted(root.parent.rglob("*")) == before


@pytest.mark.parametrize("path", ["none.ipynb", "../train.ipynb", "/etc/passwd", "deep", "deep/helpers.py", "", "a\0b"])
def test_what_is_no_notebook_here_is_not_found(server, root, path):
    found = export(server, path=path)
    assert found["code"] in ("not_found", "bad_request")
    assert str(root) not in json.dumps(found)


def test_a_refusal_names_the_cell_and_leaves_nothing(server, root):
    path = put(root, "train.ipynb", "x = 1", "%nobody knows")
    found = export(server, path=path, write=True)
    assert found["code"] == "export_refused"
    assert "Cell 2, line 1" in found["message"]
    assert not (root / "jobs").exists()


@pytest.mark.parametrize(
    "options",
    [{"gpus": True}, {"gpus": "1"}, {"code": "x"}, {"nobody": 1}, {"arguments": {"a": 1}}, {"image": "a:latest"}],
)
def test_wrong_options_are_refused(server, root, options):
    found = export(server, path=put(root, "train.ipynb", "x = 1"), options=options)
    assert found["code"] in ("bad_request", "export_refused")


@pytest.mark.parametrize(
    ("refused", "write"),
    [(("execute", "kernels"), False), (("read", "contents"), False), (("write", "contents"), True)],
)
def test_more_than_the_verbs_own_permission_is_needed(server, root, authorizer, refused, write):  # noqa: F811
    path = put(root, "train.ipynb", "x = 1")
    authorizer(Recording()).refused = frozenset({refused})
    assert export(server, path=path, write=write)["code"] == "forbidden"
    assert not (root / "jobs").exists()
    if refused == ("execute", "kernels"):
        assert send(server, "/export/run", {"path": path, "folder": "jobs/train"}).status == 403


def job(server, root: Path, *cells: str, folder: str = "jobs/train") -> dict:
    """Export a notebook; return what a run of it is asked for by."""
    path = put(root, "train.ipynb", *cells)
    assert export(server, path=path, folder=folder, write=True)["written"]
    return {"path": path, "folder": folder}


def rows(server) -> list:
    return check("/export/runs", server.get("/export/runs"))["runs"]


def ended(server, folder: str) -> dict:
    """Wait until a run is over."""

    def over():
        return next((one for one in rows(server) if one["folder"] == folder and one["state"] != "running"), None)

    return wait_until(over)


def start(server, **body):
    return check("/export/run", send(server, "/export/run", body), "post")


WAITING = (
    "print('Account' + 'Key=' + 'A' * 86 + '==')\n"
    "import signal, sys, time\n"
    "def saved(*_):\n    print('saved', flush=True)\n    sys.exit(143)\n"
    "signal.signal(signal.SIGTERM, saved)\nprint(lr, resume)\ntime.sleep(60)"
)


def test_a_job_runs_in_the_background_with_its_values_and_its_log_until_it_is_stopped(server, root, tmp_path):
    wanted = job(server, root, PARAMETERS, WAITING)
    begun = start(server, **wanted, arguments={"lr": "3e-4", "resume": "true"}, log="disk://logs/run.log")
    assert (begun["state"], begun["folder"], begun["log"]) == ("running", "jobs/train", "disk://logs/run.log")
    assert start(server, **wanted)["code"] == "busy"
    pid = running.read(root / "jobs/train").pid
    assert os.getsid(pid) == pid != os.getsid(0), "a session of its own"
    command = Path(f"/proc/{pid}/cmdline").read_text()
    assert command.endswith(f"run\0--log\0disk://logs/run.log\0--\0{root / 'jobs/train'}\0")
    wait_until(lambda: "0.0003 True" in rows(server)[0]["tail"])
    assert check("/export/runs/{run}", send(server, f"/export/runs/{begun['id']}", {}, "DELETE"), "delete") == {}
    row = ended(server, "jobs/train")
    assert (row["state"], row["exit_code"]) == ("ended", 143)
    wait_until(lambda: not psutil.pid_exists(pid))  # nor as a zombie
    for text in (
        row["tail"],
        (tmp_path / "disk/logs/run.log").read_text(),
        (root / "jobs/train/train.log").read_text(),
    ):
        assert "AccountKey=***\n0.0003 True\nsaved\n" in text
        assert KEY not in text


def test_another_server_of_the_same_folder_knows_the_run(tmp_path):
    with running_server(tmp_path / "first") as first:
        first_root = Path(first.app.root_dir)
        wanted = job(first, first_root, "print('on')\nimport time\ntime.sleep(60)")
        start(first, **wanted)
    with running_server(tmp_path / "first") as second:
        (row,) = rows(second)
        assert (row["state"], row["folder"]) == ("running", "jobs/train")
        os.kill(running.read(first_root / "jobs/train").pid, signal.SIGKILL)
        assert ended(second, "jobs/train")["state"] == "lost"


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"log": "nobody://x.log"}, "bad_request", "nobody"),
        ({"log": "/etc/x.log"}, "bad_request", "name-URL"),
        ({"arguments": {"lr": f"AccountKey={KEY}"}}, "bad_request", "secret"),
        ({"arguments": {"a b": "1"}}, "bad_request", "parameter"),
        ({"gpus": -1}, "bad_request", "gpus"),
        ({"folder": "jobs/none"}, "not_found", "no exported job"),
        ({"folder": "deep"}, "not_found", "no exported job"),
    ],
)
def test_what_cannot_start_says_why(server, root, more, code, said):
    wanted = job(server, root, "x = 1")
    found = start(server, **{**wanted, **more})
    assert (found["code"], said in json.dumps(found)) == (code, True), found
    assert KEY not in json.dumps(found)


def test_a_wrong_value_ends_the_run_with_2_before_anything_ran(server, root):
    wanted = job(server, root, PARAMETERS, "print(lr)")
    start(server, **wanted, arguments={"lr": "fast"})
    row = ended(server, "jobs/train")
    assert (row["exit_code"], "of type float" in row["tail"]) == (2, True)


def test_a_foreign_record_stops_nobody(server, root):
    wanted = job(server, root, PARAMETERS)
    begun = start(server, **wanted, arguments={"lr": "fast"})
    ended(server, "jobs/train")
    with subprocess.Popen(["sleep", "60"]) as victim:
        said = {"pid": victim.pid, "log": "", "started_at": time.time(), "ended_at": None, "exit_code": None}
        (root / "jobs/train/run.json").write_text(json.dumps(said))
        assert send(server, f"/export/runs/{begun['id']}", {}, "DELETE").status == 200
        assert victim.poll() is None
        victim.kill()
