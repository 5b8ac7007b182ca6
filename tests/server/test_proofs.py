"""An exported folder is proven over HTTP, by a process, a kernel and a script that are real, and end when told to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.server.contract import UNKNOWN_KERNEL, check
from tests.server.live import running as running_server
from tests.server.live import wait_until
from tests.server.notebook import Notebook
from tests.server.test_auth import Recording, authorizer  # noqa: F401 -- a fixture
from tests.server.test_export import KEY, PARAMETERS, export, job, put, root, send, start  # noqa: F401 -- a fixture

TRAIN = "import numpy as np\nw = np.full(3, lr)\nfor step in range(4):\n    w = w * 2"
# There in a script, and not in a notebook.
DIFFERS = "x = 1 if '__file__' in globals() else 2\ny = x + 1\nz = 3"


def waits(folder: Path, place: str) -> str:
    """Return a cell that waits, once there is `wait`, where it runs in the notebook or in the script."""
    there = place == "the script"
    return (
        f"import pathlib, time\nfolder = pathlib.Path({str(folder)!r})\n"
        f"if (folder / 'wait').exists() and ('__file__' in globals()) is {there}:\n"
        "    (folder / 'here').touch()\n    time.sleep(60)"
    )


def prove(server, **body):
    return check("/export/proof", send(server, "/export/proof", body), "post")


def begin(server, **body) -> dict:
    found = prove(server, **body)
    assert found["state"] == "running", found
    return found


def rows(server) -> list:
    return check("/export/proofs", server.get("/export/proofs"))["proofs"]


def over(server, seconds: float = 90) -> dict:
    """Wait until the newest proof is over."""

    def ended():
        return next((one for one in rows(server)[:1] if one["state"] != "running"), None)

    return wait_until(ended, seconds=seconds)


def stop(server, identity: str):
    path = f"/export/proofs/{identity}"
    return check("/export/proofs/{proof}", send(server, path, {}, "DELETE"), "delete")


def report(root: Path) -> dict:  # noqa: F811
    return json.loads((root / "jobs/train/proof/report.json").read_text())


def line_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is just ending
        return []


def children(server) -> list[psutil.Process]:
    """Return the processes that prove, and what they started; kernels of the server are none of them."""
    made = [one for one in psutil.Process().children() if "jupyter_gpu_ext.export.proving" in line_of(one)]
    return [*made, *(below for one in made for below in one.children(recursive=True))]


def gone(processes: list[psutil.Process]) -> None:
    assert processes, "nothing was seen to run"
    wait_until(lambda: not any(one.is_running() for one in processes), seconds=20)  # nor as a zombie


def test_a_script_that_gives_the_notebook_s_result_is_proven(server, root):  # noqa: F811
    wanted = job(server, root, PARAMETERS, TRAIN)
    begun = begin(server, **wanted, values={"lr": "5e-3"})
    assert (begun["state"], begun["folder"], begun["ended_at"]) == ("running", "jobs/train", None)
    assert prove(server, **wanted)["code"] == "busy"
    phases = set()

    def ended():
        (row,) = rows(server)
        phases.add(row["phase"])
        assert not any("5e-3" in " ".join(line_of(one)) for one in children(server)[:1])
        return row["state"] != "running" and row

    row = wait_until(ended, seconds=90)
    assert (row["state"], row["id"], row["differs"]) == ("holds", begun["id"], [])
    assert row["title"].startswith("The script gives the notebook's result: ")
    assert {"running the notebook", "running the script"} & phases
    assert row["report"] == "jobs/train/proof/report.md"
    assert (root / row["report"]).is_file()
    assert report(root)["plan"]["arguments"] == ["--lr=5e-3"]
    assert not list((root / "jobs/train").glob(".*")), "nothing half-done is left"
    # The same job again keeps its proof, another has none.
    assert export(server, path="train.ipynb", folder="jobs/train", write=True, overwrite=True)["written"]
    assert [one["state"] for one in rows(server)] == ["holds"]
    job_of_another = put(root, "train.ipynb", "x = 1")
    assert export(server, path=job_of_another, folder="jobs/train", write=True, overwrite=True)["written"]
    assert rows(server) == []
    assert not (root / "jobs/train/proof").exists()


def test_what_differs_is_named(server, root):  # noqa: F811
    begin(server, **job(server, root, DIFFERS))
    row = over(server)
    assert (row["state"], row["title"]) == ("differs", "2 results of 3 differ.")
    assert [(one["kind"], one["name"]) for one in row["differs"]] == [("variable", "x"), ("variable", "y")]
    assert all(one["detail"] for one in row["differs"])
    assert "| variable | `x` | **differs** |" in (root / row["report"]).read_text()


@pytest.mark.parametrize(
    ("cells", "values", "said"),
    [
        (("x = 1", "y = 1 / 0"), {}, "Cell 2 of the notebook fails: ZeroDivisionError"),
        (("x = 1", "raise ValueError('Account' + 'Key=' + 'A' * 86 + '==')"), {}, "AccountKey=***"),
        (("x = 1\nif '__file__' in globals():\n    raise OSError('no')",), {}, "The script fails: "),
        ((PARAMETERS,), {"lr": "fast"}, "lr is of type float"),
        ((PARAMETERS,), {"steps": "5"}, "steps is no parameter of the notebook"),
    ],
)
def test_what_fails_says_why_and_leaves_no_proof(server, root, cells, values, said):  # noqa: F811
    begin(server, **job(server, root, *cells), values=values)
    row = over(server)
    assert (row["state"], row["code"], row["title"]) == ("failed", "export_refused", "")
    assert said in row["message"]
    assert row["hint"]
    assert KEY not in json.dumps(row)
    assert not (root / "jobs/train/proof").exists()


def test_a_notebook_or_a_script_that_was_changed_since_is_to_be_exported_again(server, root):  # noqa: F811
    wanted = job(server, root, "x = 1")
    script = root / "jobs/train/train.py"
    before = script.read_text()
    script.write_text(before.replace("x = 1", "x = 2"))
    begin(server, **wanted)
    row = over(server)
    assert (row["state"], row["message"]) == ("failed", "train.py is not what the notebook gives now.")
    script.write_text(before)
    put(root, "train.ipynb", "x = 3")
    begin(server, **wanted)
    assert "export it again" in over(server)["hint"]


@pytest.mark.parametrize("place", ["the notebook", "the script"])
def test_a_stop_ends_all_of_it_and_keeps_the_earlier_proof(server, root, tmp_path, place):  # noqa: F811
    wanted = job(server, root, PARAMETERS, waits(tmp_path, place))
    begin(server, **wanted)
    assert over(server)["state"] == "holds"
    earlier = {one: one.read_bytes() for one in (root / "jobs/train").rglob("*") if one.is_file()}
    (tmp_path / "wait").touch()
    begun = begin(server, **wanted, values={"lr": "7"})
    wait_until((tmp_path / "here").exists, seconds=60)
    assert rows(server)[0]["phase"] == f"running {place}"
    seen = children(server)
    assert len(seen) >= 2, "the process, and a kernel or a script"
    assert stop(server, begun["id"]) == {}
    row = over(server, seconds=20)
    assert (row["state"], row["message"]) == ("stopped", "")
    gone(seen)
    assert {one: one.read_bytes() for one in (root / "jobs/train").rglob("*") if one.is_file()} == earlier
    assert stop(server, begun["id"]) == {}, "one that is over stays as it is"


def test_a_job_that_is_exported_meanwhile_gets_no_proof_of_the_other(server, root, tmp_path):  # noqa: F811
    (tmp_path / "wait").touch()
    begin(server, **job(server, root, waits(tmp_path, "the script").replace("60", "2")))
    wait_until((tmp_path / "here").exists, seconds=60)
    assert export(server, path=put(root, "n.ipynb", "x = 2"), folder="jobs/train", write=True, overwrite=True)[
        "written"
    ]
    row = over(server)
    assert (row["state"], row["hint"]) == ("failed", "Prove it again.")
    assert not (root / "jobs/train/proof").exists()
    assert not list((root / "jobs/train").glob(".*"))


def test_a_stop_at_once_and_one_that_the_kernel_does_not_hear(server, root, tmp_path):  # noqa: F811
    deaf = "import signal\nfor one in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(one, signal.SIG_IGN)\n"
    wanted = job(server, root, deaf + waits(tmp_path, "the notebook"))
    stop(server, begin(server, **wanted)["id"])
    assert over(server, seconds=20)["state"] == "stopped"
    (tmp_path / "wait").touch()
    begun = begin(server, **wanted)
    wait_until((tmp_path / "here").exists, seconds=60)
    seen = children(server)
    stop(server, begun["id"])
    assert over(server, seconds=30)["state"] == "stopped"
    gone(seen)
    assert not list((root / "jobs/train").glob(".*"))


def test_it_ends_when_nobody_asks_any_more(server, root, tmp_path):  # noqa: F811
    """As where the server is killed: nothing but the end of its stdin tells it."""
    wanted = job(server, root, waits(tmp_path, "the notebook"))
    (tmp_path / "wait").touch()
    asked = {
        "notebook": json.loads((root / wanted["path"]).read_text()), "beside": str(root), "kernel": "",
        "folder": str(root / wanted["folder"]), "python": sys.executable, "variables": {}, "values": {},
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "jupyter_gpu_ext.export.proving"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        wait_until((tmp_path / "here").exists, seconds=60)
        seen = children(server)
        process.stdin.close()
        said = [json.loads(line) for line in process.stdout]
    gone(seen)
    assert said == [{"phase": "running the notebook"}]
    assert process.returncode == 143


def test_a_server_takes_its_proofs_along(tmp_path):
    (tmp_path / "wait").touch()
    with running_server(tmp_path / "first") as server:
        begin(server, **job(server, Path(server.app.root_dir), waits(tmp_path, "the notebook")))
        wait_until((tmp_path / "here").exists, seconds=60)
        seen = children(server)
    gone(seen)


def test_a_folder_that_runs_is_not_proven(server, root):  # noqa: F811
    wanted = job(server, root, "import time\ntime.sleep(60)")
    begun = start(server, **wanted)
    found = prove(server, **wanted)
    assert (found["code"], "runs now" in found["message"]) == ("busy", True)
    send(server, f"/export/runs/{begun['id']}", {}, "DELETE")


def test_it_has_a_kernel_of_its_own(server, root, tmp_path):  # noqa: F811
    wanted = job(server, root, PARAMETERS, TRAIN)
    notebook = Notebook(server, tmp_path, "own.ipynb")
    try:
        assert notebook.cells.run("mine = 1").status == "ok"
        begin(server, **wanted, kernel=notebook.id)
        assert over(server)["state"] == "holds"
        assert notebook.cells.run("assert mine == 1 and 'w' not in globals()").status == "ok"
    finally:
        notebook.close()
    assert prove(server, **wanted, kernel=UNKNOWN_KERNEL)["code"] == "not_found"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"values": {"lr": f"AccountKey={KEY}"}}, "bad_request"),
        ({"values": {"a b": "1"}}, "bad_request"),
        ({"values": {"lr": 1}}, "bad_request"),
        ({"values": {"lr": "a\0b"}}, "bad_request"),
        ({"values": []}, "bad_request"),
        ({"folder": "../jobs"}, "bad_request"),
        ({"folder": "jobs/none"}, "not_found"),
        ({"folder": "deep"}, "not_found"),
        ({"path": "../train.ipynb"}, "not_found"),
        ({"path": "none.ipynb"}, "not_found"),
        ({"path": "deep/helpers.py"}, "not_found"),
    ],
)
def test_what_cannot_begin_says_why(server, root, more, code):  # noqa: F811
    wanted = job(server, root, "x = 1")
    found = prove(server, **{**wanted, **more})
    assert found["code"] == code, found
    assert KEY not in json.dumps(found)
    assert children(server) == []


@pytest.mark.parametrize("text", ["", "[]", '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}'])
def test_a_notebook_that_is_none_any_more_is_refused(server, root, text):  # noqa: F811
    wanted = job(server, root, "x = 1")
    (root / wanted["path"]).write_text(text)
    assert prove(server, **wanted)["code"] == "not_found"


@pytest.mark.parametrize("refused", [("execute", "kernels"), ("read", "contents"), ("write", "contents")])
def test_more_than_the_verb_s_own_permission_is_needed(server, root, authorizer, refused):  # noqa: F811
    wanted = job(server, root, "x = 1")
    authorizer(Recording()).refused = frozenset({refused})
    assert prove(server, **wanted)["code"] == "forbidden"
