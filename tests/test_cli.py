from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import zarr

from jupyter_gpu_ext import cli
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, write_connections
from tests.server.contract import SPEC, closed
from tests.tensors.hdf5_files import climate, written

MODEL = safetensors.numpy.save({"w": np.ones((4, 3), np.float32), "b": np.zeros(3, np.float32)})
BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "1xL4")


@pytest.fixture(autouse=True)
def no_cache_yet(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def disk(local_store):
    local_store.put("net.safetensors", MODEL)
    local_store.put("sub/--json", MODEL)
    local_store.put("notes.txt", b"hello")
    local_store.put("x.h5", written(climate))
    zarr.create_array(local_store.folder / "x.zarr", shape=(4, 3), chunks=(2, 2), dtype="f4", attributes={"units": "K"})
    return local_store


def run(capsys, family, *arguments):
    code = cli.main(family, list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("family", "arguments", "shown"),
    [
        ("blob", ["ls"], "disk://"),
        ("blob", ["ls", "disk://"], "net.safetensors"),
        ("blob", ["ls", "disk://", "--limit", "1"], "1 shown, more exist"),
        ("blob", ["info", "disk://net.safetensors"], "safetensors, 2 tensors"),
        ("blob", ["plan", "disk://net.safetensors", "--keys", "w"], "1 tensor"),
        ("blob", ["info", "disk://x.zarr"], "zarr 3 array, 1 array, 48 B decoded"),
        ("blob", ["info", "disk://x.h5"], "hdf5, 12 datasets"),
        ("blob", ["plan", "disk://x.zarr", "--select", "-3:", "--raw"], "x.zarr 3 × 3 float32: 4 objects"),
        ("blob", ["view", "disk://net.safetensors"], "Storage (left) › disk"),
        ("blob", ["view", "disk://x.zarr", "--select", "0, :", "--json"], '"select": "0, :"'),
        ("blob", ["--help"], "blob plan"),
        ("blob", [], "blob plan"),
        ("blob", ["cache"], "blob cache warm"),
        ("blob", ["cache", "ls"], "0 objects, 0 B"),
        ("blob", ["cache", "clear"], "removed 0 objects"),
        ("blob", ["cache", "warm", "--help"], "blob cache warm URL"),
        ("blob", ["info", "--help"], "Option of every verb: --json"),
        ("gpu", [], "Simulated L4"),
        ("gpu", ["status"], "Simulated L4"),
        ("gpu", ["--help"], "gpu status"),
        ("gpu", ["--help"], "--json, where it has a result"),
        ("gpu", ["metrics"], "jupyter_gpu_memory_used_bytes{"),
        ("gpu", ["metrics", "--help"], "--serve [HOST:]PORT"),
        ("gpu", ["top", "--once"], "jupyter gpu top"),
        ("gpu", ["release", "--help"], "gpu release [RUNG] …"),
    ],
)
def test_what_is_asked_is_printed(capsys, disk, family, arguments, shown):
    code, out, err = run(capsys, family, *arguments)
    assert (code, err) == (0, "")
    assert shown in out


@pytest.mark.parametrize("verb", ["top", "metrics"])
def test_what_gives_no_data_offers_none(capsys, verb):
    assert "--json" not in run(capsys, "gpu", verb, "--help")[1]
    code, _, err = run(capsys, "gpu", verb, "--json")
    assert (code, "`jupyter gpu status --json`" in err) == (2, True)


@pytest.mark.parametrize(
    ("family", "arguments", "code", "said"),
    [
        ("blob", ["ls", "disk://none/"], 1, "does not exist"),
        ("blob", ["ls", "none://"], 1, "There is no connection 'none'"),
        ("blob", ["info", "disk://none"], 1, "does not exist"),
        ("blob", ["info", "disk://notes.txt"], 1, "no tensor file"),
        ("blob", ["plan", "disk://net.safetensors", "--keys", "z"], 1, "z"),
        ("blob", ["plan", "disk://x.zarr", "--select", "1, 2, 3"], 1, "has 2 axes"),
        ("blob", ["plan", "disk://net.safetensors", "--raw"], 1, "--raw is for Zarr arrays"),
        ("blob", ["lst"], 2, "Did you mean blob ls?"),
        ("blob", ["info"], 2, "needs URL"),
        ("blob", ["info", "a", "b"], 2, "does not know what to do with b"),
        ("blob", ["ls", "--limits", "1"], 2, "Did you mean --limit?"),
        ("blob", ["ls", "--limit"], 2, "--limit needs a value"),
        ("blob", ["ls", "--limit", "x"], 2, "needs a whole number"),
        ("blob", ["load", "disk://net.safetensors"], 2, "needs a process that lives on"),
        ("blob", ["cache", "warm", "disk://net.safetensors"], 1, "gains nothing"),
        ("blob", ["cache", "warm"], 2, "needs URL"),
        ("blob", ["cache", "drop"], 2, "blob cache has no verb 'drop'"),
        ("blob", ["cp", "disk://net.safetensors"], 2, "needs DST"),
        ("blob", ["cp", "disk://net.safetensors", "disk://other"], 1, "is read-only"),
        ("blob", ["cp", "disk://sub", "./x"], 1, "is a folder"),
        ("blob", ["rm", "disk://net.safetensors", "--yes"], 1, "is read-only"),
        ("gpu", ["stat"], 2, "Did you mean gpu status?"),
        ("gpu", ["status", "--since", "1"], 2, "has no option --since"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_mistake_is_one_line_on_stderr_and_a_code(capsys, disk, family, arguments, code, said, as_json):
    found, out, err = run(capsys, family, *arguments, *(["--json"] if as_json else []))
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1
    assert " — " in err, "no hint"


SCHEMAS = [
    ("gpu", ["status"], "GpuStatus", {"version": "1", "kernels": []}),
    ("blob", ["ls", "disk://"], "Page", {}),
    ("blob", ["info", "disk://net.safetensors"], "TensorFile", {}),
    ("blob", ["info", "disk://x.h5"], "TensorFile", {}),
    ("blob", ["plan", "disk://net.safetensors"], "Plan", {}),
    ("blob", ["info", "disk://x.zarr"], "TensorFile", {}),
    ("blob", ["plan", "disk://x.zarr", "--select", "1:, 2"], "Plan", {}),
]


@pytest.mark.parametrize(("family", "arguments", "schema", "more"), SCHEMAS, ids=[" ".join(one[1]) for one in SCHEMAS])
@pytest.mark.parametrize("place", [0, -1], ids=["before", "after"])
def test_json_is_what_the_server_answers(capsys, disk, family, arguments, schema, more, place):
    import jsonschema

    words = ["--json", *arguments] if place == 0 else [*arguments, "--json"]
    code, out, err = run(capsys, family, *words)
    assert (code, err) == (0, "")
    whole = closed({"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]})
    jsonschema.Draft202012Validator(whole).validate({**json.loads(out), **more})


def test_the_cache_is_warmed_listed_and_cleared_as_json(capsys, azure_store):
    azure_store.put("big", bytes(200_000))
    assert run(capsys, "blob", "cache", "ls", "--json")[0] == 0
    code, out, err = run(capsys, "blob", "cache", "warm", "weights://big", "--json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["object_count"], json.loads(out)["skipped"]) == (1, [])
    _, out, _ = run(capsys, "blob", "cache", "ls", "--json")
    (row,) = json.loads(out)["objects"]
    assert (row["connection"], row["key"], row["size_bytes"]) == ("weights", "big", 200_000)
    _, out, _ = run(capsys, "blob", "cache", "clear", "weights://big", "--json")
    assert json.loads(out)["object_count"] == 1


def test_connections_as_json_are_the_rows_of_the_server(capsys, disk):
    import jsonschema

    code, out, _ = run(capsys, "blob", "ls", "--json")
    assert code == 0
    whole = closed({"$ref": "#/components/schemas/Connection", "components": SPEC["components"]})
    (row,) = json.loads(out)
    jsonschema.Draft202012Validator(whole).validate(row)


def test_a_gpu_that_cannot_be_read_is_an_answer(capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "0")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    code, out, err = run(capsys, "gpu", "status")
    assert (code, err) == (0, "")
    assert "nvidia-ml-py is missing" in out


def test_a_wrong_simulation_is_an_error(capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "many")
    code, _, err = run(capsys, "gpu", "status")
    assert code == 1
    assert "JUPYTER_GPU_SIMULATED='many'" in err


def test_the_account_key_is_in_no_output(capsys, azure_store, tmp_path):
    azure_store.put("net.safetensors", MODEL)
    printed = ""
    for arguments in (
        ["ls"],
        ["ls", "weights://"],
        ["info", "weights://net.safetensors"],
        ["plan", "weights://net.safetensors"],
        ["info", "weights://none"],
        ["ls", f"https://x/?sig={AZURITE_KEY}"],
        ["info", AZURITE_KEY],
    ):
        for more in ([], ["--json"]):
            _, out, err = run(capsys, "blob", *arguments, *more)
            printed += out + err
    assert "net.safetensors" in printed
    assert AZURITE_KEY not in printed
    assert AZURITE_KEY[:40] not in printed


def script(*words, check=True, **variables):
    environ = {**os.environ, **variables}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "words",
    [
        [BIN / "jupyter-blob", "ls", "disk://"],
        [BIN / "jupyter", "blob", "ls", "disk://"],
    ],
    ids=["jupyter-blob", "jupyter blob"],
)
def test_the_console_scripts(disk, words):
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    assert "net.safetensors" in script(*words, PATH=path).stdout
    gpu = [BIN / "jupyter-gpu"] if len(words) == 3 else [BIN / "jupyter", "gpu"]
    assert "Simulated L4" in script(*gpu, "status", PATH=path).stdout
    failed = script(*words[:-2], "info", "disk://none", check=False, PATH=path)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1


@pytest.fixture
def writable(tmp_path):
    folder = tmp_path / "writable"
    (folder / "run").mkdir(parents=True)
    for name in ("x", "run/y", "run/z"):
        (folder / name).write_bytes(b"12345")
    write_connections(tmp_path / "connections.toml", disk={"root": str(folder), "read_only": False})
    return folder


def test_a_copy_prints_its_receipt(capsys, writable, tmp_path):
    code, out, err = run(capsys, "blob", "cp", "-r", "disk://run", str(tmp_path / "down"))
    assert (code, err) == (0, "")
    assert out.startswith("2 objects, 10 B, ")
    assert (tmp_path / "down" / "z").read_bytes() == b"12345"
    code, out, _ = run(capsys, "blob", "cp", "disk://x", "disk://w", "--json")
    assert (code, {**json.loads(out), "seconds": 0}) == (0, {"objects": 1, "size_bytes": 5, "seconds": 0})


@pytest.mark.parametrize("line", [["disk://x"], ["-r", "disk://run"]])
def test_a_loss_without_a_terminal_needs_a_yes(capsys, writable, line):
    script_ = [
        sys.executable,
        "-c",
        "import sys; from jupyter_gpu_ext import cli; sys.exit(cli.main('blob', sys.argv[1:]))",
    ]
    done = subprocess.run(
        [*script_, "rm", *line], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Remove ")
    assert "Add --yes." in done.stderr
    assert sorted(path.name for path in writable.rglob("*")) == ["run", "x", "y", "z"]
    code, out, err = run(capsys, "blob", "rm", *line, "--yes")
    assert (code, err) == (0, "")
    assert "removed" in out


@pytest.mark.parametrize(
    ("typed", "code", "left"), [(b"n\n", 1, True), (b"\n", 1, True), (b"\x04", 1, True), (b"y\n", 0, False)]
)
def test_a_loss_in_a_terminal_asks_first_and_says_what_it_will_do(writable, typed, code, left):
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BIN / "jupyter-blob", "rm", "-r", "disk://run"], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 1000)
    assert said.decode().startswith("Remove 2 objects (10 B) below disk://run/? It cannot be undone here.")
    os.write(ours, typed)
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == code
    assert (b"2 objects removed" in out) is not left
    assert (writable / "run").exists() is left


BATCH_IMAGE = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("IPython", "tornado", "jupyter_server", "jupyter_core", "traitlets", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from jupyter_gpu_ext import cli
sys.exit(cli.main(sys.argv[1], sys.argv[2:]))
"""


def test_it_works_in_a_batch_image_without_jupyter_and_torch(azure_store):
    azure_store.put("net.safetensors", MODEL)
    variables = {KEY_VARIABLE: AZURITE_KEY}
    info = script(sys.executable, "-c", BATCH_IMAGE, "blob", "info", "weights://net.safetensors", **variables)
    assert "2 tensors" in info.stdout
    assert "Simulated L4" in script(sys.executable, "-c", BATCH_IMAGE, "gpu", "status").stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{'long-name-' * 10}{number}").touch()
    write_connections(tmp_path / "connections.toml", many={"root": str(folder)})
    bash = shutil.which("bash")
    line = f"set -o pipefail; {BIN / 'jupyter-blob'} ls many:// --limit 1000 | head -n 1"
    done = script(bash, "-c", line)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
