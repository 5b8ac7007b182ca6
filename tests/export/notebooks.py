"""Short ways to write a notebook down."""

from __future__ import annotations

from typing import Any

from jupyter_gpu_ext.export.script import make_script


def notebook(*cells: str | dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a notebook; a text is a code cell."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": metadata,
        "cells": [
            {"id": f"c{number}", **(code(cell) if isinstance(cell, str) else cell)}
            for number, cell in enumerate(cells, start=1)
        ],
    }


def code(source: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def text(source: str, kind: str = "markdown") -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source}


def script(*cells: str | dict[str, Any], **metadata: Any) -> str:
    """Return the script of a notebook."""
    return make_script(notebook(*cells, **metadata), name="test.ipynb", version="0.0.0").text


def body(*cells: str | dict[str, Any]) -> str:
    """Return what the script holds below the last cell's marker, without the indentation of `main()`."""
    made = script(*cells)
    at = made.rindex("# %% cell")
    text = made[at:].partition("\n")[2]
    for end in ("\n\n\nif __name__", "\n\n\ndef ", "\n\n# lines:"):
        text = text.partition(end)[0]
    inside = made[:at].endswith("\n    ")
    return "\n".join(line.removeprefix("    ") if inside else line for line in text.split("\n")).rstrip("\n")
