from __future__ import annotations

import pytest

from tests.conftest import write_connections
from tests.magics.test_magics import MIME, one_line


@pytest.fixture
def folder(cells, stores, tmp_path):
    """The connection box:// on a folder that may be written to, beside the room's own."""
    folder = tmp_path / "box"
    (folder / "run").mkdir(parents=True)
    for name in ("x", "run/y", "run/z"):
        (folder / name).write_bytes(b"12345")
    before = cells.value("__import__('os').environ['JUPYTER_GPU_CONNECTIONS']")
    text = (stores / "connections.toml").read_text()
    write_connections(tmp_path / "more.toml", box={"root": str(folder), "read_only": False})
    (tmp_path / "more.toml").write_text((tmp_path / "more.toml").read_text() + text)
    cells.run(f"import os; os.environ['JUPYTER_GPU_CONNECTIONS'] = {str(tmp_path / 'more.toml')!r}")
    yield folder
    cells.run(f"import os; os.environ['JUPYTER_GPU_CONNECTIONS'] = {before!r}")


def test_a_copy_shows_its_receipt_once(cells, folder, tmp_path):
    outcome = cells.run("%blob cp -r box://run box://copy")
    assert (outcome.status, outcome.result) == ("ok", None), outcome
    assert outcome.stdout.startswith("2 objects, 10 B, ")
    assert outcome.stdout.count("\n") == 1
    assert (folder / "copy" / "z").read_bytes() == b"12345"
    assert cells.run(f"target = {str(tmp_path)!r}\nr = %blob cp box://x {{target}}/\nprint(r.objects)").stdout.endswith(
        "\n1\n"
    )
    assert (tmp_path / "x").read_bytes() == b"12345"
    assert one_line(cells.run("%blob cp box://x box://run/y")).startswith("Exists: box://run/y exists.")


def test_a_slow_copy_shows_its_progress_and_a_cancelled_one_leaves_nothing(cells, kernel, folder, proxy):
    proxy.bytes_per_second = 6_000_000
    outcome = cells.run("%blob cp slow://big.safetensors box://big")
    states = [content["data"][MIME] for _, content in outcome.displays]
    assert [one["state"] for one in states] == ["running"] * (len(states) - 1) + ["done"]
    assert states[-1]["title"] == "slow://big.safetensors → box://big"
    assert states[-1]["message"].startswith("1 object, 12.0 MB, ")
    assert outcome.stdout == ""
    proxy.bytes_per_second = 1_500_000
    stopped = []

    def watch(seen):
        if seen.displays and not stopped:
            stopped.append(True)
            kernel.interrupt_kernel()

    outcome = cells.finish(cells.start("%blob cp slow://big.safetensors box://again"), watch=watch)
    proxy.bytes_per_second = float("inf")
    assert one_line(outcome) == "KeyboardInterrupt: Cancelled; nothing was changed."
    assert sorted(path.name for path in folder.iterdir() if "again" in path.name) == []


@pytest.mark.parametrize("line", ["%blob rm box://x", "%blob rm -r box://run"])
def test_a_notebook_that_nobody_can_be_asked_in_is_refused(cells, folder, line):
    reply = cells.client.execute(line, store_history=False, allow_stdin=False, reply=True, timeout=60)["content"]
    assert (reply["status"], reply["ename"]) == ("error", "UsageError")
    assert "Add --yes." in str(reply["traceback"])
    assert len(list(folder.rglob("*"))) == 4
    outcome = cells.run(f"{line} --yes")
    assert outcome.status == "ok"
    assert "removed" in outcome.result


@pytest.mark.parametrize(("typed", "left"), [("n", True), ("", True), ("y", False)])
def test_a_notebook_asks_first(cells, folder, typed, left):
    message = cells.client.execute("%blob rm -r box://run", allow_stdin=True)
    asked = cells.client.get_stdin_msg(timeout=60)["content"]["prompt"]
    assert asked == "Remove 2 objects (10 B) below box://run/? It cannot be undone here. [y/N] "
    cells.client.input(typed)
    outcome = cells.finish(message)
    assert outcome.status == "ok"
    assert (outcome.stdout == "Nothing was removed.\n") is left
    assert (folder / "run").exists() is left


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cp box://x box://y", "Cancelled; nothing was changed."),
        ("cp -r box://x box://y", "Cancelled; `%blob ls` shows what was done by then."),
        ("rm box://x", "Cancelled; `%blob ls` shows what was done by then."),
        ("ls", "Cancelled; nothing was changed."),
    ],
)
def test_a_cancelled_line_does_not_promise_too_much(line, said):
    from jupyter_gpu_ext.commands.lines import parse_magic
    from jupyter_gpu_ext.magics.verbs import _cancelled

    assert _cancelled(parse_magic("blob", line)) == said
