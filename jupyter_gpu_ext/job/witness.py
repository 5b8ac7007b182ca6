"""What a program's variables and outputs are at its end: written down for who compares it with another run.

A script is watched when the environment says so; it is run as it is.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import random
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from jupyter_gpu_ext.job.described import Describer, Said
from jupyter_gpu_ext.job.rank import rank
from jupyter_gpu_ext.job.where import cell_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = "JUPYTER_GPU_WITNESS"
VALUES, ARRAYS = "values.json", "values.npz"


def begin(script: Path) -> None:
    """Watch this program, if the environment asks for it: `{"folder": …, "names": […], "seed": 0}`."""
    asked = os.environ.get(VARIABLE)
    if not asked or rank() != 0:
        return
    # Those that it starts are not it.
    del os.environ[VARIABLE]
    plan = json.loads(asked)
    seed(int(plan["seed"]))
    output = Output(script, sys.stdout)
    sys.stdout = output
    main = sys.modules["__main__"].__dict__
    atexit.register(lambda: write_down(main, plan["names"], Path(plan["folder"]), output.texts))


def seed(number: int) -> None:
    """Seed the generators of Python, numpy, and torch where it is installed: whatever imports it later finds it so."""
    random.seed(number)
    np.random.seed(number)
    if find_spec("torch") is not None:
        torch: Any = import_module("torch")
        torch.manual_seed(number)


def write_down(
    namespace: Mapping[str, Any], names: Iterable[str], folder: Path, texts: Mapping[int, str] | None = None
) -> None:
    """Write what the names are into a folder.

    Parameters
    ----------
    namespace : mapping
        The program's variables.
    names : iterable of str
        Those that are wanted; one that is not there is left out.
    texts : mapping of int to str, optional
        What was printed, by cell.
    """
    describer = Describer()
    values: dict[str, Said] = {name: describer.describe(namespace[name]) for name in names if name in namespace}
    said = {"values": values, "texts": {str(cell): text for cell, text in (texts or {}).items()}}
    (folder / VALUES).write_text(json.dumps(said), encoding="utf-8")
    with (folder / ARRAYS).open("wb") as file:
        np.savez(file, allow_pickle=False, **describer.arrays)


class Output(io.TextIOBase):
    """Standard output that also knows which of the notebook's cells wrote what.

    Attributes
    ----------
    texts : dict of int to str
        By cell; what no line of the script wrote is left out.
    """

    def __init__(self, script: Path, inner: TextIO) -> None:
        self.texts: dict[int, str] = {}
        self._name = str(script)
        self._source = script.read_text(encoding="utf-8")
        self._cells: dict[int, int | None] = {}
        self._inner = inner

    def write(self, text: str) -> int:
        """Write on, and note the cell."""
        cell = self._cell()
        if cell is not None:
            self.texts[cell] = self.texts.get(cell, "") + text
        return self._inner.write(text)

    def flush(self) -> None:
        """Flush what is below."""
        self._inner.flush()

    def isatty(self) -> bool:
        """Tell it of what is below."""
        return self._inner.isatty()

    def fileno(self) -> int:
        """Return that of what is below."""
        return self._inner.fileno()

    @property
    def buffer(self) -> Any:
        """What is below takes bytes."""
        return self._inner.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of what is below."""
        return self._inner.encoding

    def _cell(self) -> int | None:
        frame = sys._getframe(2)  # noqa: SLF001 -- the only way to know who prints
        while frame is not None:
            if frame.f_code.co_filename == self._name:
                line = frame.f_lineno
                if line not in self._cells:
                    found = cell_of(self._source, line)
                    self._cells[line] = found[0] if found else None
                if self._cells[line] is not None:
                    return self._cells[line]
            frame = frame.f_back  # type: ignore[assignment]
        return None
