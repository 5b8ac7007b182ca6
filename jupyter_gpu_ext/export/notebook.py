"""From a notebook's JSON to its cells. Nothing in the metadata is trusted, or acted upon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.text import printable

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PYTHON = re.compile(r"i?python[\d.]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell.

    Attributes
    ----------
    number : int
        Its place among all cells, counted from 1 as a person does.
    id : str
        Empty where the notebook has none.
    kind : str
        'code', 'markdown' or 'raw'.
    source : str
        Its text, with every line break a newline.
    left_out : str
        Why the script leaves it out; else empty.
    declares : bool
        It is tagged `parameters`.
    compared : bool
        It is tagged `compare`: a proof looks at its output.
    count : int
        Its execution count; 0 where it was not run.
    """

    number: int
    id: str = ""
    kind: str = "code"
    source: str
    left_out: str = ""
    declares: bool = False
    compared: bool = False
    count: int = 0


def read(notebook: Any) -> tuple[Cell, ...]:
    """Return the cells of a notebook.

    Parameters
    ----------
    notebook : mapping
        The parsed JSON, or nbformat's node of it.

    Raises
    ------
    ExportRefusedError
        For what is no notebook, one of an old format, and one of another language.
    """
    cells = _mapping(notebook).get("cells")
    version = _mapping(notebook).get("nbformat")
    if not isinstance(version, int) or (version >= 4 and not isinstance(cells, list)):
        raise ExportRefusedError("This is no notebook.", hint="Export a file that JupyterLab can open.")
    if version < 4:
        raise ExportRefusedError(
            f"The notebook is of the old format {version}.", hint="Open it in JupyterLab and save it."
        )
    _check_language(_mapping(_mapping(notebook).get("metadata")))
    found = [_mapping(cell) for cell in cells or ()]
    only = any("export" in _tags(cell) for cell in found)
    return tuple(_cell(number, cell, only=only) for number, cell in enumerate(found, start=1))


def _cell(number: int, cell: Mapping[str, Any], *, only: bool) -> Cell:
    tags, kind = _tags(cell), cell.get("cell_type")
    unwanted = only and kind == "code" and not {"export", "parameters"} & tags
    identity = cell.get("id")
    return Cell(
        number=number,
        id=identity if isinstance(identity, str) and _ID.fullmatch(identity) else "",
        kind=kind if kind in ("code", "markdown") else "raw",
        source=_source(number, cell.get("source", "")),
        left_out="tagged skip" if "skip" in tags else "not tagged export" if unwanted else "",
        declares="parameters" in tags,
        compared="compare" in tags,
        count=count if type(count := cell.get("execution_count")) is int and count > 0 else 0,
    )


def _tags(cell: Mapping[str, Any]) -> set[str]:
    tags = _mapping(cell.get("metadata")).get("tags")
    return {tag for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()


def _source(number: int, source: Any) -> str:
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        raise ExportRefusedError(f"Cell {number} holds no text.", hint="Delete the cell.")
    return "".join(lines).replace("\r\n", "\n").replace("\r", "\n")


def _check_language(metadata: Mapping[str, Any]) -> None:
    for part, key in (("kernelspec", "language"), ("language_info", "name")):
        language = _mapping(metadata.get(part)).get(key)
        if isinstance(language, str) and language and not _PYTHON.fullmatch(language):
            raise ExportRefusedError(
                f"The notebook is written in {printable(language)[:40]}, not in Python.",
                hint="Only Python notebooks become scripts.",
            )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
