"""What a person is told before a script runs elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_gpu_ext.export.script import make_script
from tests.export.notebooks import code, notebook


def remarks(*cells: str | dict[str, Any], ran: dict[int, str] | None = None) -> list[str]:
    made = make_script(notebook(*cells), name="x.ipynb", version="0.0.0", ran=ran)
    told = [str(one) for one in made.remarks]
    assert [line.removeprefix("# ! ") for line in made.text.splitlines() if line.startswith("# ! ")] == told
    return told


def run(source: str, count: int | None) -> dict[str, Any]:
    return code(source) | {"execution_count": count}


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["x = 1"], []),
        ([run("x = 1", 1), run("y = x", 2)], []),
        ([run("x = 1", 2), run("y = 1", 1)], ["Cell 2: it ran before cell 1"]),
        ([run("x = 1", 1), run("y = 1", None)], ["Cell 2: it was not run since"]),
        ([run("x = 1", 1), run("", None), code("%%html", "skip")], []),
        ([run("x = 1", True), run("y = 1", -3)], []),
        ([code("u = 1", "skip"), "x = 1\nprint(u)"], ["Cell 2, line 2: u is bound only in cell 1"]),
        ([code("%%foo\nu = 1\nls -l", "skip"), "print(u)"], ["Cell 2, line 1: u is bound only in cell 1"]),
        ([code("u = 1", "skip"), "u = 2\nprint(u)"], []),
        ([code("print = 1", "skip"), "print(2)"], []),
        (["x = '/home/ada/data'"], ["Cell 1, line 1: /home/ada is a person's folder"]),
        (["import os\nx = f'{os.sep}/Users/ada/{1}'"], ["Cell 1, line 2: /Users/ada"]),
        ([r"x = 'C:\\Users\\ada\\x'"], [r"Cell 1, line 1: C:\Users\ada"]),
        (["%cd /root/x"], ["Cell 1, line 1: /root is"]),
        (["x = '~/data', '/homes/x', 'weights://home/x'"], []),
        (["\n\n%load_ext x\nfrom tqdm.notebook import tqdm"], ["Cell 1, line 4: tqdm.notebook is for a notebook"]),
        (["from tqdm import tqdm, notebook"], ["Cell 1, line 1: tqdm.notebook"]),
        (["import ipywidgets as w"], ["Cell 1, line 1: ipywidgets"]),
        (["import matplotlib.pyplot as plt", "plt.show()"], ["Cell 2, line 1: plt.show() shows nothing"]),
        (["x = 1\n%run lib/a.py x"], ["Cell 1, line 2: the script runs 'lib/a.py'; keep that file beside it."]),
        (["n = 3", "def f(k=n):\n    pass"], ["Cell 2, line 1: f stays below statements"]),
        (
            ["print(1)\nfor i in []: pass", "@cache\nclass A(B, k=i): pass"],
            ["Cell 2, line 2: A stays below statements"],
        ),
    ],
    ids=str,
)
def test_is_told(cells: list[Any], told: list[str]) -> None:
    found = remarks(*cells)
    assert len(found) == len(told), found
    for one, begin in zip(found, told, strict=True):
        assert one.startswith(begin)


def test_a_cell_that_was_edited_since_it_ran_is_told() -> None:
    cells = [run("x = 1", 1), run("y = 2", 2)]
    assert remarks(*cells, ran={1: "x = 1\n", 2: "y = 3"}) == [
        "Cell 2: it was edited since it ran; the script runs it as it is now."
    ]


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        # The kernel was started anew, and only the first cell ran again, twice.
        ({1: "x = 1", 2: "x = 1"}, {2: "started"}),
        ({1: "y = 2"}, {1: "started"}),
        # What it does not know any more, or never ran, tells nothing.
        ({}, {}),
        ({7: "z"}, {}),
        ({1: "x = 1   \r\n"}, {}),
        ({1: "x = 2", 2: "y = 3"}, {1: "edited", 2: "edited"}),
        ({3: "%blob ls b"}, {3: "edited"}),
    ],
)
def test_counts_of_an_earlier_kernel_are_no_edits(ran: dict[int, str], told: dict[int, str]) -> None:
    cells = [run("x = 1", 1), run("y = 2\n", 2), run("%blob ls a", 3)]
    words = {"started": "it was not run since the kernel was started", "edited": "it was edited since it ran"}
    assert remarks(*cells, ran=ran) == [
        f"Cell {number}: {words[word]}; the script runs it as it is now." for number, word in told.items()
    ]


def test_two_cells_of_one_count_ran_in_two_kernels() -> None:
    cells = [run("x = 1", 1), run("y = 2", 1)]
    assert remarks(*cells, ran={1: "x = 1"}) == [
        "Cell 2: it was not run since the kernel was started; the script runs it as it is now."
    ]
