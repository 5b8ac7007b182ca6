"""Run the notebook itself, in its own kernel, so that its result is there to be compared with."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.environment import Environment
from jupyter_gpu_ext.export.notebook import read
from jupyter_gpu_ext.export.parameters import with_values
from jupyter_gpu_ext.export.runs import SECONDS
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.export.notebook import Cell
    from jupyter_gpu_ext.export.runs import Observed, Plan, Stage

_ENVIRONMENT = "environment.json"
_BEGIN = """\
from jupyter_gpu_ext.job import witness as _witness
_witness.seed({seed})
"""
_END = """\
import json as _json, pathlib as _pathlib
from jupyter_gpu_ext.export.gather import gather as _gather
from jupyter_gpu_ext.job import witness as _witness
_witness.write_down(globals(), {names!r}, _pathlib.Path({folder!r}))
(_pathlib.Path({folder!r}) / {environment!r}).write_text(_json.dumps(_gather().to_json()), encoding="utf-8")
"""


def rehearse(
    notebook: Any, plan: Plan, values: Mapping[str, Any], stage: Stage, *, kernel: str, environ: Mapping[str, str]
) -> tuple[Observed, Environment]:
    """Run a notebook, without the cells that its script leaves out.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON; it is left as it is.
    values : mapping of str to object
        Parameters that are not to be the notebook's.
    kernel : str
        The name of the kernel; '' is this Python's.
    environ : mapping
        As `Stage.environment` makes it.

    Returns
    -------
    observed, environment
        What it left behind, and what a job must know of the kernel.

    Raises
    ------
    ExportRefusedError
        When a cell fails; with its number.
    """
    cells = [cell for cell in read(notebook) if cell.kind == "code" and not cell.left_out]
    begin = _BEGIN.format(seed=plan.seed)
    end = _END.format(names=list(plan.names), folder=str(stage.out), environment=_ENVIRONMENT)
    sources = [begin, *(_with(cell, values) for cell in cells), end]
    # nbformat's makers bear no types.
    cells_json = [nbformat.v4.new_code_cell(one) for one in sources]  # type: ignore[no-untyped-call]
    made = nbformat.v4.new_notebook(cells=cells_json)  # type: ignore[no-untyped-call]
    where: dict[str, Any] = {"resources": {"metadata": {"path": str(stage.work)}}}
    where |= {"kernel_name": kernel} if kernel else {}
    client = NotebookClient(made, timeout=SECONDS, **where)
    texts = dict[int, str]()
    with _kernel_of(client, environ):
        for index, source in enumerate(made.cells):
            number = cells[index - 1].number if 0 < index <= len(cells) else 0
            _run(client, source, index, number)
            texts[number] = "".join(one.text for one in source.outputs if one.get("name") == "stdout")
    said = json.loads((stage.out / _ENVIRONMENT).read_text(encoding="utf-8"))
    observed = stage.observed(texts={number: text for number, text in texts.items() if number})
    return observed, Environment.from_json(said)


@contextmanager
def _kernel_of(client: NotebookClient, environ: Mapping[str, str]) -> Iterator[None]:
    manager = client.create_kernel_manager()
    try:
        # What the kernel itself has to say of its transport is of no use here.
        with client.setup_kernel(env=dict(environ), stderr=subprocess.DEVNULL):
            yield
    finally:
        # An interrupt while it starts leaves it to nobody. nbclient's manager is an asynchronous one.
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)  # type: ignore[arg-type]


def _run(client: NotebookClient, cell: Any, index: int, number: int) -> None:
    where = f"Cell {number} of the notebook" if number else "The notebook"
    try:
        client.execute_cell(cell, index)
    except CellExecutionError as error:
        raise ExportRefusedError(
            f"{where} fails: {printable(redact(f'{error.ename}: {error.evalue}'))}",
            hint="Restart the kernel and run all cells, with the same parameters.",
        ) from None
    except (CellTimeoutError, DeadKernelError):
        raise ExportRefusedError(
            f"{where} does not come to an end.", hint="Prove it with smaller parameters."
        ) from None


def _with(cell: Cell, values: Mapping[str, Any]) -> str:
    if not cell.declares or not values:
        return cell.source
    try:
        return with_values(cell.source, {name: repr(value) for name, value in values.items()})
    except SyntaxError:
        raise ExportRefusedError(
            f"Cell {cell.number} is tagged `parameters` and holds more than Python.",
            hint="Put magics into a cell of their own.",
        ) from None
