"""Notebooks of random cells: whatever they do, the script does the same."""

from __future__ import annotations

import contextlib
import io
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.job import start
from tests.export.notebooks import script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TEXT = Path(__file__).with_name("random_cells.txt").read_text(encoding="utf-8")
CELLS = [cell.removesuffix("\n") for cell in TEXT.split("# %%\n")[1:]]


def ran(execute: Callable[[dict[str, object]], None]) -> tuple[str, str]:
    """Return what is printed, and the error that ends it."""
    module, output, error = ModuleType("__main__"), io.StringIO(), ""
    module.__dict__["__file__"] = "made.py"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setitem(sys.modules, "__main__", module)
        patch.setattr(start, "start", lambda *_: None)
        try:
            execute(module.__dict__)
        except Exception as raised:  # noqa: BLE001 -- it is what is compared
            error = f"{type(raised).__name__}: {raised}"
        finally:
            vars(math).pop("e2", None)
    # Two functions are at two addresses.
    return re.sub("0x[0-9a-f]+", "0x", output.getvalue()), error


def notebook(cells: Sequence[str]) -> Callable[[dict[str, object]], None]:
    def execute(names: dict[str, object]) -> None:
        for cell in cells:
            exec(compile(cell, "<cell>", "exec"), names)

    return execute


def same(given: Sequence[str]) -> None:
    cells = list[str]()
    for cell in given:
        # Somebody ran the notebook to its end.
        if not ran(notebook([*cells, cell]))[1]:
            cells.append(cell)
    made = script(*cells)
    assert ran(lambda names: exec(compile(made, "made.py", "exec"), names)) == ran(notebook(cells)), made


@given(st.lists(st.sampled_from(CELLS), max_size=9))
@settings(deadline=None)
def test_random_cells(cells: list[str]) -> None:
    same(cells)


@pytest.mark.prove
@given(st.lists(st.sampled_from(CELLS), min_size=5, max_size=14))
@settings(deadline=None, max_examples=3000)
def test_many_random_cells(cells: list[str]) -> None:
    same(cells)
