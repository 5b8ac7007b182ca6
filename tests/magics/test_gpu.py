"""`%%gpu`, `%gpu who` and `%gpu release` in a real kernel."""

from __future__ import annotations

import pytest


def test_a_cell_is_run_as_without_the_magic_and_one_line_follows(cells):
    outcome = cells.run("%%gpu\nx = [1, 2]\nx")
    assert (outcome.status, outcome.result) == ("ok", "[1, 2]")
    assert outcome.stdout.startswith("no device used · ")
    assert outcome.stdout.count("\n") == 1
    assert cells.run("x, _").result == "([1, 2], [1, 2])"


@pytest.mark.parametrize(
    ("cell", "result"),
    [("1 + 1;", None), ("y = 1", None), ("# nothing", None), ("if True:\n    5", None), ("'''a\n  b'''", "'a\\n  b'")],
)
def test_what_is_shown_is_what_a_plain_cell_shows(cells, cell, result):
    outcome = cells.run(f"%%gpu\n{cell}")
    assert (outcome.status, outcome.result) == ("ok", result)


def test_magics_inside_bind_and_load(cells):
    outcome = cells.run("%%gpu\n%load_blob disk://net.safetensors")
    assert outcome.status == "ok", outcome
    assert "loads hold 60 B on simulated:0" in outcome.stdout
    assert outcome.result is None
    assert cells.value("sorted(net)") == ["b", "w"]


def test_bytes_and_waiting_of_a_slow_network(cells, proxy):
    proxy.bytes_per_second = 2_000_000
    outcome = cells.run("%%gpu\n%load_blob slow://small.safetensors -o w")
    assert outcome.status == "ok", outcome
    last = outcome.stdout.splitlines()[-1]
    assert " MB from storage" in last
    assert int(last.partition("waited ")[2].partition(" %")[0]) > 20


def test_an_error_is_the_cells_own(cells):
    outcome = cells.run("%%gpu\nx = 1\ny = x / 0")
    assert (outcome.status, outcome.ename) == ("error", "ZeroDivisionError")
    assert outcome.stdout.startswith("no device used")
    assert "y = x / 0" in "".join(outcome.traceback).replace("\x1b", "").replace("[39m", "").replace("[32m", "")
    assert "_compiled" not in "".join(outcome.traceback)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%gpu --all\nx", "%%gpu takes nothing on its line."),
        ("%%gpu\nawait x", "cannot await at the top of a cell. — In a cell of its own, `with jg.measure():` may."),
        ("%%gpu\nx = = 1", "invalid syntax"),
    ],
)
def test_a_wrong_cell(cells, cell, said):
    outcome = cells.run(cell)
    assert outcome.status == "error"
    assert said in "".join(outcome.traceback)


def test_help(cells):
    assert "jg.measure()" in cells.run("%%gpu --help\n1 / 0").stdout


def test_who_and_release(cells):
    setup = """
import torch, weakref
kept = torch.zeros(5_000_000, dtype=torch.uint8)
def train():
    global ref
    batch = torch.zeros(7_000_000, dtype=torch.uint8)
    ref = weakref.ref(batch)
    raise ValueError("no")
"""
    assert cells.run(setup).status == "ok"
    assert cells.run("train()").status == "error"
    lines = cells.run("%gpu who").result.splitlines()
    assert lines[1].split() == ["7.0", "MB", "cpu", "uint8", "7000000", "batch", "in", "train()"]
    assert lines[2].split()[-1] == "kept"
    held = cells.run("held = %gpu who\nlen(held.rows) >= 2, held.rows[0].size_bytes")
    assert held.result == "(True, 7000000)"
    released = cells.run("%gpu release").result
    assert released.startswith("Freed 7.0 MB (traceback 7.0 MB).")
    assert cells.value("ref() is None")
    assert "batch" not in cells.run("%gpu who").result
    wrong = cells.run("%gpu release all")
    assert wrong.status == "error"
    assert wrong.evalue.startswith("There is no 'all' to release here.")


def test_outputs_are_let_go_by_name(cells):
    cells.run("import torch, weakref\ndef shown():\n    global ref\n    one = torch.zeros(9_000_000)\n    "
              "ref = weakref.ref(one)\n    return one")  # fmt: skip
    cells.run("shown()")
    assert "36.0 MB" in cells.run("%gpu release outputs").result
    assert cells.value("ref() is None")
    assert cells.run("3 + 4").result == "7"
    assert cells.run("_").result == "7"
